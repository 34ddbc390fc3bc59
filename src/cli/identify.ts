// `fdspan identify [PID|-]`: what fdspan makes of a process, or of /proc/PID/cgroup text on
// standard input, as one JSON object. Nothing but the cgroup path decides.
import { readFile } from 'node:fs/promises';
import type { Readable, Writable } from 'node:stream';
import { textOfBytes } from '../containers/byte-text.ts';
import { parseProcCgroup } from '../containers/proc-cgroup.ts';

const EXIT_OK = 0;
const EXIT_USAGE = 64;

/** Reason: some 20 hierarchies with paths of 4 KiB; ten times that is no /proc/PID/cgroup. */
const INPUT_BYTES_MAX = 1 << 20;

export interface CommandStreams {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
}

class UsageError extends Error {}

async function readInput(stdin: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stdin) {
    const part: Buffer = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
    bytes += part.length;
    if (bytes > INPUT_BYTES_MAX) {
      throw new UsageError(
        `standard input has more than ${INPUT_BYTES_MAX} bytes: give /proc/PID/cgroup text`,
      );
    }
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString('latin1');
}

async function readProcess(pid: string): Promise<string> {
  const file = `/proc/${pid}/cgroup`;
  try {
    return await readFile(file, 'latin1');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const isGone = code === 'ENOENT' || code === 'ESRCH';
    const hint = isGone ? `there is no process ${pid}: give the pid of a running one` : String(code);
    throw new UsageError(`reading ${file}: ${hint}`, { cause });
  }
}

async function readText(args: readonly string[], stdin: Readable): Promise<string> {
  if (args.length > 1) throw new UsageError(`identify takes one argument, got ${args.length}: PID or -`);
  const target = args[0] ?? 'self';
  if (target === '-') return readInput(stdin);
  if (target !== 'self' && !/^[1-9][0-9]{0,9}$/.test(target)) {
    throw new UsageError(`identify ${JSON.stringify(target)}: give a PID (a positive number) or -`);
  }
  return readProcess(target);
}

function textOrNull(latin1: string | null | undefined): string | null {
  return latin1 === null || latin1 === undefined ? null : textOfBytes(latin1);
}

/** Runs the command and returns its exit code: 0, or 64 with the reason on stderr. */
export async function identify(args: readonly string[], io: CommandStreams): Promise<number> {
  let text: string;
  try {
    text = await readText(args, io.stdin);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    io.stderr.write(`fdspan: ${error.message}\n`);
    return EXIT_USAGE;
  }
  const { container } = parseProcCgroup(text);
  const answer = {
    container_id: textOrNull(container?.containerId),
    runtime: container?.runtime ?? null,
    pod_uid: textOrNull(container?.podUid),
    parent_id: textOrNull(container?.parentId),
  };
  io.stdout.write(`${JSON.stringify(answer)}\n`);
  return EXIT_OK;
}
