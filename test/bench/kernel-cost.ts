// What tracing adds to the traced and to everybody else: the same load with nothing attached, with empty
// programs on the same hooks, with fdspan, and with the same pairing as a bpftrace script, in turn and in one run.
import { spawn, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BpfObject } from '../../src/bpf/bpf-object.ts';
import { makeContainerGroup, type ContainerGroup } from '../helpers/cgroup.ts';
import { LOAD_CORE, startBenchCollector } from './bench-collector.ts';
import { PairsProcess } from './pairs-process.ts';
import { rowOf, spread, type BenchResult, type Row } from './row.ts';

const PAIRS = 100_000;
/** bpftrace is ten times slower. */
const BPFTRACE_PAIRS = 20_000;
const CALLS = 500_000;
const EMPTY_HOOKS = [
  'sys_enter',
  'sys_exit',
  'sched_process_exit',
  'sched_process_exec',
  'sched_prepare_exec',
  'signal_deliver',
  'cgroup_mkdir',
  'cgroup_rmdir',
  'io_uring_submit_req',
];
const FIGURES = ['inside, 4 components', 'inside, 12 components', 'outside', 'unrelated call'] as const;
const VARIANTS = ['bare', 'empty', 'fdspan', 'bpftrace'] as const;

type Figure = (typeof FIGURES)[number];
type Variant = (typeof VARIANTS)[number];
type Readings = Record<Variant, Record<Figure, number[]>>;

interface Bench {
  readonly group: ContainerGroup;
  readonly inside: PairsProcess;
  readonly outside: PairsProcess;
  readonly shortPath: string;
  readonly longPath: string;
}

/** Measures in `rounds` rounds; each variant once a round. */
export async function measureKernelCost(rounds: number): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-bench-'));
  const group = makeContainerGroup();
  const bench: Bench = {
    group,
    inside: await PairsProcess.start(group.procsFile, LOAD_CORE),
    outside: await PairsProcess.start(null, LOAD_CORE),
    shortPath: makePath(folder, 4),
    longPath: makePath(folder, 12),
  };
  const whyNoBpftrace = reasonAgainstBpftrace();
  const readings = Object.fromEntries(
    VARIANTS.map((variant) => [variant, Object.fromEntries(FIGURES.map((figure) => [figure, []]))]),
  ) as unknown as Readings;
  try {
    for (let round = 0; round < rounds; round += 1) {
      await read(bench, readings.bare, PAIRS);
      await readEmpty(bench, readings.empty);
      await readFdspan(bench, readings.fdspan);
      if (whyNoBpftrace === null) await readBpftrace(bench, readings.bpftrace);
    }
  } finally {
    await bench.inside.end();
    await bench.outside.end();
    await group.remove();
    rmSync(folder, { recursive: true });
  }
  const skipped = whyNoBpftrace === null ? [] : [{ name: 'bpftrace as a yardstick', reason: whyNoBpftrace }];
  return { rows: rowsOf(readings), skipped };
}

function makePath(folder: string, components: number): string {
  let path = folder;
  while (path.split('/').length < components) path = join(path, 'directory');
  mkdirSync(path, { recursive: true });
  const file = join(path, 'file');
  writeFileSync(file, 'x');
  return file;
}

async function read(bench: Bench, readings: Record<Figure, number[]>, pairs: number): Promise<void> {
  readings['inside, 4 components'].push(await bench.inside.pairs(pairs, bench.shortPath));
  readings['inside, 12 components'].push(await bench.inside.pairs(pairs, bench.longPath));
  readings.outside.push(await bench.outside.pairs(pairs, bench.shortPath));
  readings['unrelated call'].push(await bench.outside.calls(CALLS));
}

async function readEmpty(bench: Bench, readings: Record<Figure, number[]>): Promise<void> {
  const programs = new BpfObject(join(import.meta.dirname, '../../build/bench/empty.bpf.o'), null);
  try {
    programs.load(EMPTY_HOOKS);
    for (const hook of EMPTY_HOOKS) programs.attach(hook);
    await read(bench, readings, PAIRS);
  } finally {
    programs.close();
  }
}

async function readFdspan(bench: Bench, readings: Record<Figure, number[]>): Promise<void> {
  // Room for all pairs of a reading: what a full ring or queue refuses would cost less, and flatter.
  const collector = await startBenchCollector([bench.group.id], 'http/protobuf', {
    'limits.ring': '128MiB',
    'export.queue.bytes_max': '512MiB',
  });
  await read(bench, readings, PAIRS);
  const { counters } = await collector.end();
  if (counters.opens_in_scope < 2 * PAIRS || counters.records_read < counters.opens_in_scope)
    throw new Error(`the pairs were not all traced and sent: ${JSON.stringify(counters)}`);
}

function reasonAgainstBpftrace(): string | null {
  try {
    execFileSync('bpftrace', ['--version'], { stdio: 'ignore' });
    return null;
  } catch {
    return "bpftrace isn't installed (apt-get install bpftrace)";
  }
}

async function readBpftrace(bench: Bench, readings: Record<Figure, number[]>): Promise<void> {
  const script = join(import.meta.dirname, 'programs/pairing.bt');
  const id = String(statSync(bench.group.folder, { bigint: true }).ino);
  // A mount namespace of its own: bpftrace wants tracefs, which isn't mounted everywhere.
  const command = 'mount -t tracefs tracefs /sys/kernel/tracing && exec bpftrace -o /dev/null "$@"';
  const child = spawn('unshare', ['--mount', 'sh', '-c', command, 'sh', script, id], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (text) => (errors += text));
  const closed = once(child, 'close');
  try {
    await untilSlower(bench, child.pid!);
    execFileSync('taskset', ['-apc', '1', String(child.pid)], { stdio: 'ignore' });
    await read(bench, readings, BPFTRACE_PAIRS);
  } catch (error) {
    throw new Error(`bpftrace: ${errors}`, { cause: error });
  } finally {
    child.kill('SIGINT');
    await closed;
  }
}

/** bpftrace says nothing once its probes are attached (with -o): its own effect tells. */
async function untilSlower(bench: Bench, pid: number): Promise<void> {
  const bare = await bench.inside.pairs(5000, bench.shortPath);
  const deadlineMs = performance.now() + 20_000;
  while ((await bench.inside.pairs(5000, bench.shortPath)) < 2 * bare) {
    if (performance.now() > deadlineMs) throw new Error(`process ${pid} attaches nothing in 20 s`);
  }
}

function rowsOf(readings: Readings): Row[] {
  const middle = (variant: Variant, figure: Figure): number => spread(readings[variant][figure]).value;
  const added = (variant: Variant, figure: Figure): number[] =>
    readings[variant][figure].map((value, round) => value - readings.bare[figure][round]);
  const rows: Row[] = [
    rowOf('open+close, nothing attached (4 components)', 'ns', readings.bare['inside, 4 components']),
  ];
  for (const figure of FIGURES) {
    const empty = { name: 'empty programs', value: spread(added('empty', figure)).value };
    rows.push(rowOf(`added by empty programs: ${figure}`, 'ns', added('empty', figure)));
    const name = `added by fdspan: ${figure}`;
    if (figure === 'outside' || figure === 'unrelated call') {
      const slack = figure === 'outside' ? 100 : 5;
      rows.push(
        rowOf(name, 'ns', added('fdspan', figure), {
          yardstick: empty,
          budget: `≤ empty programs + ${slack} ns`,
          isMet: (value) => value <= empty.value + slack,
        }),
      );
      continue;
    }
    rows.push(
      rowOf(name, 'ns', added('fdspan', figure), {
        yardstick: empty,
        budget: '≤ 3 × empty programs',
        isMet: (_value, ratio) => ratio <= 3,
      }),
    );
    if (readings.bpftrace[figure].length === 0) continue;
    const part = figure === 'inside, 4 components' ? 10 : 8;
    const bpftrace = {
      name: 'the same pairing in bpftrace',
      value: middle('bpftrace', figure) - middle('bare', figure),
    };
    rows.push(rowOf(`added by bpftrace: ${figure}`, 'ns', added('bpftrace', figure)));
    rows.push(
      rowOf(`${name}, against bpftrace`, 'ns', added('fdspan', figure), {
        yardstick: bpftrace,
        budget: `≤ 1/${part} of bpftrace`,
        isMet: (_value, ratio) => ratio <= 1 / part,
      }),
    );
  }
  return rows;
}
