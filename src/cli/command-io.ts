// What every command gets, and the version that they say.
import { readFileSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { escapeControls } from '../telemetry/terminal-text.ts';

export interface CommandIo {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly env: NodeJS.ProcessEnv;
}

/** Returns the version of package.json. */
export function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** Writes it all, also into a pipe that takes it slowly; resolves too when the reader is gone. */
export function writeWhole(stream: Writable, text: string): Promise<void> {
  return new Promise((resolve) => {
    // Stays: a late EPIPE must not end the process with a stack.
    stream.on('error', () => resolve());
    stream.write(text, () => resolve());
  });
}

/** Returns a message of several lines, each safe for a terminal. */
export function escapeLines(text: string): string {
  return text.split('\n').map(escapeControls).join('\n');
}
