// HTTP over a unix socket, as far as container engines need it: one JSON answer, or lines without end. What
// answers may be anything: bodies and lines are bounded, and every wait ends with the caller's signal.
import * as http from 'node:http';
import { recordOfText, type Fields } from '../fields.ts';
import { shortReason } from '../reason.ts';
import { BoundedLines } from './bounded-lines.ts';
import { connectionError, EngineError } from './engine-error.ts';
import { ANSWER_BYTES_MAX } from '../runtime-source.ts';
import { userBytes } from '../user-bytes.ts';

/** Reason: a burst of new containers must not take all of an engine's attention; more requests wait for their turn. */
const CONNECTIONS_MAX = 4;

/** Reason: an event carries all labels of its container, which have some KiB. Overflow: the line is skipped, and told. */
export const LINE_BYTES_MAX = 1024 * 1024;

export interface LinesOptions {
  /** Called when the server has accepted the request. */
  readonly onOpen: () => void;
  /** Called for each line that was longer than {@link LINE_BYTES_MAX}. */
  readonly onSkipped: () => void;
}

export class UnixHttp {
  readonly #socketPath: string;
  #ownerUid: number;
  /** Connections aren't kept: a new one costs 0.1 ms, and a kept one may be stale. */
  readonly #agent = new http.Agent({ keepAlive: false, maxSockets: CONNECTIONS_MAX });
  #closedReason: EngineError | null = null;
  /** The requests in flight: `close` ends them. */
  readonly #aborts = new Set<(reason: Error) => void>();

  /** `ownerUid`: whose the server is; of a user's less is read. */
  constructor(socketPath: string, ownerUid = 0) {
    this.#socketPath = socketPath;
    this.#ownerUid = ownerUid;
  }

  /** From now on the server counts as this user's. */
  belongsTo(ownerUid: number): void {
    this.#ownerUid = ownerUid;
  }

  /**
   * Returns the answer's JSON object, or null for 404. Rejects with an {@link EngineError}, or with the signal's reason
   * as soon as it aborts.
   */
  async getJson(path: string, signal: AbortSignal): Promise<Fields | null> {
    return this.#exchange(path, this.#agent, signal, async (response) => {
      const body = await this.#readBody(response, path);
      if (response.statusCode === 404) return null;
      if (response.statusCode !== 200) throw this.#refusal(response, path, body);
      return this.#parse(body, path);
    });
  }

  /** Returns the headers of the answer to `/_ping`, the smallest question that engines take; rejects as {@link getJson} does. */
  async ping(signal: AbortSignal): Promise<http.IncomingHttpHeaders> {
    return this.#exchange('/_ping', this.#agent, signal, async (response) => {
      const body = await this.#readBody(response, '/_ping');
      if (response.statusCode !== 200) throw this.#refusal(response, '/_ping', body);
      return response.headers;
    });
  }

  /**
   * Calls `take` with each line until the server ends the stream. Rejects as {@link getJson} does; the connection counts
   * for no limit.
   */
  async eachLine(
    path: string,
    signal: AbortSignal,
    take: (line: string) => void,
    { onOpen, onSkipped }: LinesOptions,
  ): Promise<void> {
    const agent = new http.Agent({ keepAlive: false });
    await this.#exchange(path, agent, signal, async (response) => {
      if (response.statusCode !== 200) {
        throw this.#refusal(response, path, await this.#readBody(response, path));
      }
      onOpen();
      const splitter = new BoundedLines(LINE_BYTES_MAX);
      for await (const chunk of response as AsyncIterable<Buffer>) {
        const skippedBefore = splitter.skipped;
        const lines = splitter.push(chunk);
        for (let i = skippedBefore; i < splitter.skipped; i++) onSkipped();
        for (const line of lines) take(line);
      }
    });
  }

  /** Ends all that is in flight; later requests reject. */
  close(): void {
    const reason = new EngineError('closed', `${this.#socketPath}: closed`);
    this.#closedReason = reason;
    for (const abort of this.#aborts) abort(reason);
    this.#agent.destroy();
  }

  #exchange<T>(
    path: string,
    agent: http.Agent,
    signal: AbortSignal,
    read: (response: http.IncomingMessage) => Promise<T>,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      if (this.#closedReason !== null) return reject(this.#closedReason);
      const request = http.get({ socketPath: this.#socketPath, path, agent });
      const end = (settle: () => void): void => {
        signal.removeEventListener('abort', abortBySignal);
        this.#aborts.delete(abort);
        request.destroy();
        settle();
      };
      // A request that waits for its turn tells of its destruction only when the turn comes: the caller can't wait for that.
      const abort = (reason: Error): void => end(() => reject(reason));
      const abortBySignal = (): void => abort(signal.reason as Error);
      this.#aborts.add(abort);
      signal.addEventListener('abort', abortBySignal, { once: true });
      const fail = (error: unknown): void => end(() => reject(connectionError(this.#socketPath, error)));
      let isAnswered = false;
      request.on('error', fail);
      // A server that switches protocols ends the request without an error.
      request.on('close', () => isAnswered || fail(new Error('closed without an answer')));
      request.on('response', (response) => {
        isAnswered = true;
        read(response).then((value) => end(() => resolve(value)), fail);
      });
    });
  }

  async #readBody(response: http.IncomingMessage, path: string): Promise<string> {
    const chunks: Buffer[] = [];
    const bytesMax = userBytes.maxOf(this.#ownerUid, ANSWER_BYTES_MAX);
    let bytes = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > bytesMax) {
        userBytes.refuse(this.#ownerUid);
        throw new EngineError(
          'too_long',
          `GET ${path} on ${this.#socketPath}: the answer has more than ${bytesMax} bytes`,
        );
      }
      chunks.push(chunk);
    }
    if (!userBytes.take(this.#ownerUid, bytes)) {
      throw new EngineError(
        'too_many',
        `GET ${path} on ${this.#socketPath}: user ${this.#ownerUid} has had enough read this second`,
      );
    }
    return Buffer.concat(chunks).toString('utf8');
  }

  #parse(body: string, path: string): Fields {
    const answer = recordOfText(body);
    if (answer !== null) return answer;
    throw new EngineError('garbage', `GET ${path} on ${this.#socketPath}: the answer isn't a JSON object`);
  }

  #refusal(response: http.IncomingMessage, path: string, body: string): EngineError {
    const reason = shortReason(body);
    const status = `HTTP ${response.statusCode}${reason === '' ? '' : `: ${reason}`}`;
    return new EngineError('refused', `GET ${path} on ${this.#socketPath}: ${status}`);
  }
}
