// Loads a container's group with many opens, many short processes and files that are held, and finds what backends limit in
// traces.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PairsProcess } from '../bench/pairs-process.ts';
import { makeContainerGroup } from './cgroup.ts';
import { startCollector, type Counters } from './collector-process.ts';
import { startReceiver } from './otlp-receiver.ts';
import { TraceLimits, type LimitFindings } from './trace-limits.ts';

export interface LimitsRun {
  readonly seconds: number;
  readonly opensPerSecond: number;
  readonly heldFiles: number;
  readonly set: Readonly<Record<string, string>>;
}

export interface LimitsResult {
  readonly found: LimitFindings;
  readonly counters: Counters;
  /** Processes that the storm has started. */
  readonly processes: number;
}

/** Four bytes of a path's name each: a long path, as package managers make them. */
const PATH_FOLDERS = ['node_modules', 'a'.repeat(120), 'node_modules', 'b'.repeat(120), 'dist'];

/** A shell that runs programs one after the other, each with two files, and at times holds one over 8 s. */
const STORM = `
turns=0
while [ -e "$1/run" ]; do
  cat "$1/file" > "$1/out"
  turns=$((turns + 1))
  if [ $((turns % 500)) -eq 0 ]; then (exec 3< "$1/file"; sleep 8) & fi
done
wait
echo $turns
`;

/** Runs the load between the collector's start and its stop. */
export async function runLimits(run: LimitsRun): Promise<LimitsResult> {
  execFileSync(
    'make',
    ['-s', '-C', join(import.meta.dirname, '../bench/programs'), '../../../build/bench/pairs'],
    {
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  );
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-limits-'));
  const deep = join(folder, ...PATH_FOLDERS);
  const file = join(deep, 'index.js');
  mkdirSync(deep, { recursive: true });
  for (const path of [file, join(folder, 'file'), join(folder, 'run')]) writeFileSync(path, 'x');
  const group = makeContainerGroup();
  const limits = new TraceLimits();
  const watch = (request: Buffer, receivedMs: number): void => limits.take(request, receivedMs);
  const receiver = await startReceiver({ protocol: 'grpc', decode: 'count', watch });
  try {
    const { endpoint } = receiver;
    const collector = await startCollector({ endpoint, containerIds: [group.id], set: run.set });
    try {
      const storm = startStorm(group.procsFile, folder);
      const holder = await PairsProcess.start(group.procsFile, 1);
      await holder.hold(run.heldFiles, file);
      const opener = await PairsProcess.start(group.procsFile, 0);
      await opener.paced(run.opensPerSecond * run.seconds, run.opensPerSecond, file);
      rmSync(join(folder, 'run'));
      const processes = await storm;
      await opener.end();
      await holder.end();
      const { counters } = await collector.stop();
      return { found: limits.findings(), counters, processes };
    } finally {
      await collector.kill();
    }
  } finally {
    await receiver.close();
    await group.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Resolves with the number of programs that it has run, once the file `run` is gone. */
async function startStorm(procsFile: string, folder: string): Promise<number> {
  const joined = `echo $$ > "$0"; ${STORM}`;
  const shell = spawn('sh', ['-c', joined, procsFile, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  shell.stdout.on('data', (text) => (said += text));
  const [code] = (await once(shell, 'close')) as [number | null];
  if (code !== 0) throw new Error(`the storm's shell ended with ${code}`);
  return Number(said);
}
