// What each filter adds to a traced open and close, and what is left where it leaves the open out: one collector, told
// by SIGHUP to ask one filter after the other, in turn.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { makeContainerGroup } from '../helpers/cgroup.ts';
import { LOAD_CORE, startBenchCollector, type BenchCollector } from './bench-collector.ts';
import { PairsProcess } from './pairs-process.ts';
import { rowOf, spread, type BenchResult } from './row.ts';

const PAIRS = 50_000;
const COMPONENTS = 4;

/** Reason: the log tells the same thing ten times a minute. */
const RELOADS_MAX = 9;
/** Room for all pairs; runtimes have nothing to tell of the bench's group. */
const SET = {
  'limits.ring': '128MiB',
  'export.queue.bytes_max': '512MiB',
  'containers.runtimes': '{docker: off, podman: off, containerd: off, cri: off, state: off}',
};

const NONE = 'no filter';
/** YAML of each; file systems and types are always asked. */
const FILTERS: Readonly<Record<string, string>> = {
  [NONE]: 'files: {exclude: []}',
  'the default exclude globs': '{}',
  '100 exclude globs': `files: {exclude: [${Array.from({ length: 100 }, (_, at) => `/srv/${at}/**`).join(', ')}]}`,
  'a glob of a process name': 'files: {exclude: []}\nprocesses: {exclude: ["nginx*"]}',
  '32 ranges of users, the last one matching': `files: {exclude: []}\nprocesses: {users: [${Array.from(
    { length: 31 },
    (_, at) => 1000 + at,
  ).join(', ')}, root]}`,
  'an access that is wanted': 'files: {exclude: [], access: [read]}',
  'spans.min_duration that is reached': 'files: {exclude: []}\nspans: {min_duration: 0.0001ms}',
  'left out by a path glob': 'files: {exclude: ["**/file"]}',
  'left out by a process name': 'files: {exclude: []}\nprocesses: {exclude: ["pairs"]}',
  'left out by its user': 'files: {exclude: []}\nprocesses: {users: [1]}',
  'left out by its access': 'files: {exclude: [], access: [write]}',
  'left out by spans.min_duration': 'files: {exclude: []}\nspans: {min_duration: 1h}',
};

/** Measures in `rounds` rounds; each filter once a round. */
export async function measureFilterCost(rounds: number): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-bench-'));
  const group = makeContainerGroup();
  const inside = await PairsProcess.start(group.procsFile, LOAD_CORE);
  const path = makePath(folder);
  const readings = Object.fromEntries(Object.keys(FILTERS).map((name) => [name, [] as number[]]));
  const bare: number[] = [];
  try {
    for (let round = 0; round < rounds; round += 1) {
      bare.push(await inside.pairs(PAIRS, path));
      for (const names of chunksOf(Object.keys(FILTERS))) {
        const file = join(folder, 'fdspan.yaml');
        writeFileSync(file, FILTERS[NONE]);
        const collector = await startBenchCollector([group.id], 'http/protobuf', SET, file);
        for (const [at, name] of names.entries()) {
          await reload(collector, file, FILTERS[name], at + 1);
          readings[name].push((await inside.pairs(PAIRS, path)) - bare[round]);
        }
        await collector.end();
      }
    }
  } finally {
    await inside.end();
    await group.remove();
    rmSync(folder, { recursive: true });
  }
  const none = { name: 'without it', value: spread(readings[NONE]).value };
  const rows = Object.entries(readings).map(([name, values]) =>
    name === NONE
      ? rowOf(`added to a traced pair: ${name}`, 'ns', values)
      : rowOf(`added to a pair: ${name}`, 'ns', values, { yardstick: none }),
  );
  return { rows, skipped: [] };
}

function chunksOf(names: readonly string[]): string[][] {
  const count = Math.ceil(names.length / RELOADS_MAX);
  return Array.from({ length: count }, (_, at) => names.slice(at * RELOADS_MAX, (at + 1) * RELOADS_MAX));
}

function makePath(folder: string): string {
  let path = folder;
  while (path.split('/').length < COMPONENTS) path = join(path, 'directory');
  mkdirSync(path, { recursive: true });
  const file = join(path, 'file');
  writeFileSync(file, 'x');
  return file;
}

/** Resolves when the collector has said for the `count`-th time that it has reloaded. */
async function reload(collector: BenchCollector, file: string, text: string, count: number): Promise<void> {
  writeFileSync(file, text);
  process.kill(collector.process.pid, 'SIGHUP');
  const { logs } = collector.process;
  while (logs.filter(({ msg }) => msg === 'configuration reloaded').length < count) {
    const refusal = logs.find(({ level }) => level === 'error');
    if (refusal !== undefined) throw new Error(`${text}: ${JSON.stringify(refusal)}`);
    await delay(5);
  }
}
