// Docker or podman, asked over a unix socket: one look-up for a container, and its events. A user's own engine
// (rootless) is believed only for what runs in that user's control groups: whoever owns the socket chooses the answers.
import { isHexId } from '../cgroup-segment.ts';
import { nameOf, objectOf } from './answer-fields.ts';
import { dockerOfVersion, eventsPathOf, podmanOfPing, type Engine } from './engine/engine-version.ts';
import { EngineError } from './engine/engine-error.ts';
import { Follower, FOLLOWER_TIMING, type FollowerTiming } from './follower.ts';
import type {
  ContainerMetadata,
  ContainerQuestion,
  RuntimeListener,
  RuntimeSource,
} from './runtime-source.ts';
import { isInUserSlice, type EngineSocket } from './socket-paths.ts';
import { UnixHttp } from './engine/unix-http.ts';

/** Reason: an engine answers in 2–50 ms, a busy one in seconds; the stream of events waits meanwhile. */
const INSPECT_TIMEOUT_MS = 5_000;

/** Containers of a rootless engine whose events are passed on. Reason: as many as are traced at once; the oldest is forgotten. */
const OWN_IDS_MAX = 4096;

/** Makes the source of an engine's socket; docker or podman is found out by asking. */
export class EngineSource implements RuntimeSource {
  readonly name: string;
  readonly address: string;
  readonly #ownerUid: number | null;
  readonly #http: UnixHttp;
  readonly #timing: FollowerTiming;
  readonly #ownIds = new Set<string>();
  #engine: Promise<Engine> | null = null;
  #follower: Follower | null = null;
  #isClosed = false;

  constructor({ engine, path, ownerUid }: EngineSocket, timing: FollowerTiming = FOLLOWER_TIMING) {
    this.name = engine;
    this.address = path;
    this.#ownerUid = ownerUid;
    this.#http = new UnixHttp(path);
    this.#timing = timing;
  }

  async find({ id, cgroupPath }: ContainerQuestion, signal: AbortSignal): Promise<ContainerMetadata | null> {
    signal.throwIfAborted();
    // Engines take names and short ids too: only a whole id can't mean another container.
    if (!isHexId(id)) return null;
    if (this.#ownerUid !== null && !isInUserSlice(cgroupPath, this.#ownerUid)) return null;
    const metadata = await this.#inspect(id, signal);
    if (metadata !== null && this.#ownerUid !== null) this.#keepOwn(id);
    return metadata;
  }

  /** Follows for one listener; a second call does nothing. */
  follow(listener: RuntimeListener): void {
    if (this.#follower !== null || this.#isClosed) return;
    this.#follower = new Follower(
      {
        run: (signal, opened, sinceUnixMs) => this.#runEvents(listener, signal, opened, sinceUnixMs),
        ping: (signal) => this.#http.ping(signal),
      },
      (isAnswering, reason) => {
        if (!isAnswering) this.#engine = null;
        listener.state(isAnswering, reason);
      },
      this.#timing,
    );
    this.#follower.start();
  }

  close(): void {
    this.#isClosed = true;
    this.#follower?.close();
    this.#http.close();
  }

  async #inspect(id: string, signal: AbortSignal): Promise<ContainerMetadata | null> {
    const { dialect, apiVersion, runtimeVersion } = await this.#askEngine(signal);
    try {
      const answer = await this.#http.getJson(dialect.inspectPath(apiVersion, id), signal);
      if (answer === null) return null;
      if (typeof answer.Id !== 'string') {
        throw new EngineError('garbage', `${this.address}: the answer about container ${id} has no Id`);
      }
      // A container may be *named* like the id of another one.
      if (answer.Id !== id) return null;
      const metadata = { id, runtimeName: dialect.runtimeName, ...dialect.read(answer) };
      return runtimeVersion === undefined ? metadata : { ...metadata, runtimeVersion };
    } catch (error) {
      // Another engine may have taken its place, or a newer version.
      if (error instanceof EngineError) this.#engine = null;
      throw error;
    }
  }

  /** Asks who answers, once for all that wait for it; asked again after a failure. */
  async #askEngine(signal: AbortSignal): Promise<Engine> {
    if (this.#engine === null) {
      const asked = this.#introduce();
      this.#engine = asked;
      asked.catch(() => {
        if (this.#engine === asked) this.#engine = null;
      });
    }
    return unlessAborted(this.#engine, signal);
  }

  async #introduce(): Promise<Engine> {
    const signal = AbortSignal.timeout(INSPECT_TIMEOUT_MS);
    const podman = podmanOfPing(await this.#http.ping(signal));
    if (podman !== null) return podman;
    const docker = dockerOfVersion(await this.#http.getJson('/version', signal));
    if (docker !== null) return docker;
    throw new EngineError('garbage', `${this.address}: what answers is no container engine`);
  }

  async #runEvents(
    listener: RuntimeListener,
    signal: AbortSignal,
    opened: () => void,
    sinceUnixMs: number,
  ): Promise<void> {
    const engine = await this.#askEngine(signal);
    await this.#http.eachLine(
      eventsPathOf(engine, sinceUnixMs),
      signal,
      (line) => this.#takeEvent(line, engine, listener),
      {
        onOpen: opened,
        onSkipped: () => listener.skipped?.(`${this.address}: an event is longer than is read`),
      },
    );
  }

  async #takeEvent(line: string, engine: Engine, listener: RuntimeListener): Promise<void> {
    if (line.trim() === '') return;
    const event = parseEvent(line);
    if (event === null) {
      listener.skipped?.(`${this.address}: an event can't be read`);
      return;
    }
    if (!engine.dialect.events.includes(event.action)) return;
    if (this.#ownerUid !== null && !this.#ownIds.has(event.id)) return;
    let metadata: ContainerMetadata | null;
    try {
      metadata = await this.#inspect(event.id, AbortSignal.timeout(INSPECT_TIMEOUT_MS));
    } catch (error) {
      if (this.#isClosed) return;
      listener.skipped?.(error instanceof Error ? error.message : String(error));
      return;
    }
    // The container may be gone again.
    if (metadata !== null && !this.#isClosed) listener.changed(metadata);
  }

  #keepOwn(id: string): void {
    this.#ownIds.delete(id);
    this.#ownIds.add(id);
    if (this.#ownIds.size <= OWN_IDS_MAX) return;
    const [oldest] = this.#ownIds;
    this.#ownIds.delete(oldest);
  }
}

interface EngineEvent {
  readonly action: string;
  readonly id: string;
}

/** Reads one line of the events; null when it is none of a container. */
function parseEvent(line: string): EngineEvent | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  const event = objectOf(value);
  const action = nameOf(event.Action);
  const id = objectOf(event.Actor).ID;
  return action !== undefined && typeof id === 'string' && isHexId(id) ? { action, id } : null;
}

/** Resolves or rejects as the promise does, or rejects with the signal's reason as soon as it aborts. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
    if (signal.aborted) abort();
  });
}
