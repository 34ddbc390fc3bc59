// What comes over the control socket: damaged requests and any bytes, at a real server.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { BadQueryError, listOpenFiles } from '../../../src/open-files/listing.ts';
import { readOpenFilesQuery } from '../../../src/open-files/query.ts';
import { ControlServer } from '../../../src/telemetry/control-server.ts';
import { damaged } from '../../helpers/damage.ts';
import type { FuzzTarget } from '../fuzz.ts';

const REQUESTS = [
  '{"command":"status"}\n',
  '{"command":"open","path":"/var/**/*.{db,log}","container":"web"}\n',
  '{"command":"open","path":"[!a-z]*"}\n',
  '{"command":"tail"}\n',
  `{"command":"status","more":"${'x'.repeat(4000)}"}\n`,
  '{"command":"none"}\n',
].map((text) => Buffer.from(text));

/** Asks as `fdspan open` does, over no open files. */
function openFiles(request: Readonly<Record<string, unknown>>): AsyncGenerator<unknown, unknown, void> {
  const sources = {
    portions: (async function* () {})(),
    containers: [],
    bootNs: 0n,
    unixNs: 0n,
    redactor: null,
  };
  return listOpenFiles(sources, readOpenFilesQuery(request));
}

const folder = mkdtempSync(join(tmpdir(), 'fdspan-fuzz-control-'));
const path = join(folder, 'control.sock');
const warnings: unknown[] = [];
const server = await ControlServer.listen({
  path,
  handlers: { status: () => ({ version: '1' }), open: openFiles },
  counters: () => ({}),
  onWarning: (_message, error) => void warnings.push(error),
});

/** Closes what the target holds; without it the process would not end. */
export async function closeControl(): Promise<void> {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
}

/** Sends the bytes, says that there are no more, and returns the first line of the answer. */
function ask(bytes: Uint8Array): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let answer = '';
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      answer += text;
      // `tail` is a stream without end.
      if (answer.startsWith('{"type"')) socket.destroy();
    });
    // The server may close while the rest of a request is still on its way.
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') reject(error);
    });
    socket.on('close', () => resolve(answer.split('\n')[0]));
    socket.end(bytes);
  });
}

export const CONTROL: FuzzTarget<Uint8Array> = {
  title: 'requests of any bytes to the control socket',
  // Reason: a connection for each.
  weight: 1 / 50,
  input: fc.oneof(
    { weight: 6, arbitrary: damaged(REQUESTS.slice(0, 3)) },
    { weight: 2, arbitrary: damaged(REQUESTS) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 100 }) },
    { weight: 2, arbitrary: fc.jsonValue().map((value) => Buffer.from(`${JSON.stringify(value)}\n`)) },
  ),
  judge: async (bytes) => {
    const line = await ask(bytes);
    for (const error of warnings.splice(0)) if (!(error instanceof BadQueryError)) throw error;
    if (line === '') {
      assert.ok(!bytes.includes(10), 'a whole line is answered');
      return 'no whole line';
    }
    const answer = JSON.parse(line) as { ok?: boolean; error?: unknown; type?: string };
    if (answer.type === 'stats') return 'a stream';
    assert.equal(typeof answer.ok, 'boolean');
    assert.ok(answer.ok === true || typeof answer.error === 'string');
    return answer.ok === true ? 'answered' : 'refused';
  },
  expected: ['answered', 'refused', 'a stream', 'no whole line'],
};
