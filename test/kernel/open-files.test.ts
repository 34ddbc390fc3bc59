// `fdspan open` against /proc/PID/fd of the same processes, and open files over a restart of fdspan.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { statSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { makeContainerGroup, type ContainerGroup } from '../helpers/cgroup.ts';
import { runToExit, startCollector, whyNoKernelTests, type Collector } from '../helpers/collector-process.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { measureClockOffsetNs, startWorkload, type Workload } from '../helpers/workload.ts';
import { assertSameSpans, type SeenSpan } from './compare-spans.ts';
import { readSpan } from './traced-run.ts';

const skip = whyNoKernelTests() ?? false;
const DEADLINE_MS = 20_000;
/** Rows have milliseconds, and wall minus boot time is measured at another moment. */
const TOLERANCE_NS = 3_000_000n;
const ACCESSES = ['read', 'write', 'read_write', 'none'];

/** What `--json` promises. */
interface Row {
  readonly container: string | null;
  readonly container_id: string | null;
  readonly pid: number;
  readonly process: string;
  readonly user_id: number;
  readonly fds: readonly number[];
  readonly has_more_fds: boolean;
  readonly path: string;
  readonly access: string;
  readonly opened: string;
  readonly open_ns: number;
  readonly size: number;
  readonly inode: string;
  readonly device: string;
  readonly is_deleted: boolean;
  readonly is_adopted: boolean;
}

interface Bench {
  readonly folder: string;
  readonly socket: string;
  readonly stateFile: string;
  readonly group: ContainerGroup;
  readonly spans: () => SeenSpan[];
  readonly start: (set?: Readonly<Record<string, string>>) => Promise<Collector>;
  readonly workload: (scenario: string, count: number) => Promise<Workload>;
  readonly rows: (...args: readonly string[]) => Promise<readonly Row[]>;
}

async function makeBench(t: TestContext): Promise<Bench> {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-open-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const group = makeContainerGroup();
  t.after(() => group.remove());
  const receiver = await startReceiver({ protocol: 'http/protobuf' });
  t.after(() => receiver.close());
  const socket = join(folder, 'control.sock');
  const stateFile = join(folder, 'open-times.state');
  return {
    folder,
    socket,
    stateFile,
    group,
    spans: () => receiver.spans.map(readSpan),
    start: async (set = {}) => {
      const collector = await startCollector({
        endpoint: receiver.endpoint,
        protocol: 'http/protobuf',
        containerIds: [group.id],
        set: { 'control.socket': socket, 'control.state_file': stateFile, ...set },
      });
      t.after(() => collector.kill());
      return collector;
    },
    workload: async (scenario, count) => {
      const workload = await startWorkload({ scenario, count, procsFiles: [group.procsFile] });
      t.after(() => workload.end());
      return workload;
    },
    rows: async (...args) => {
      const { stdout, exitCode, stderr } = await runToExit(['open', '--json', '--socket', socket, ...args]);
      assert.equal(exitCode, 0, stderr);
      return JSON.parse(stdout) as Row[];
    },
  };
}

/** A shell in the container that obeys one line after the other. */
async function startShell(t: TestContext, group: ContainerGroup): Promise<(line: string) => Promise<number>> {
  // Executed a second time inside, as what the runtime opens before isn't traced.
  const script = 'echo $$ > "$1"; exec sh -c \'while read -r line; do eval "$line"; echo "$$"; done\'';
  const child: ChildProcess = spawn('sh', ['-ec', script, 'sh', group.procsFile], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  t.after(async () => {
    child.stdin?.end();
    await closed;
  });
  const answers = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  return async (line) => {
    child.stdin?.write(`${line}\n`);
    return Number((await answers.next()).value);
  };
}

type KernelFile = Pick<Row, 'fds' | 'path' | 'is_deleted' | 'size' | 'inode' | 'device' | 'access'>;

/** The kernel's own list of a process: its open files below a folder. */
function filesOf(pid: number, folder: string): KernelFile[] {
  const files = new Map<string, KernelFile & { fds: number[] }>();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const link = readlinkSync(`/proc/${pid}/fd/${fd}`);
    if (!link.startsWith(`${folder}/`)) continue;
    const known = files.get(link);
    if (known === undefined) files.set(link, kernelFile(pid, fd, link));
    else known.fds.push(Number(fd));
  }
  return inOrder([...files.values()]);
}

function kernelFile(pid: number, fd: string, link: string): KernelFile & { fds: number[] } {
  const stat = statSync(`/proc/${pid}/fd/${fd}`, { bigint: true });
  const flags = /^flags:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))![1];
  const minor = (stat.dev & 0xffn) | ((stat.dev >> 12n) & 0xfff00n);
  return {
    fds: [Number(fd)],
    path: link.replace(/ \(deleted\)$/, ''),
    is_deleted: link.endsWith(' (deleted)'),
    size: Number(stat.size),
    inode: String(stat.ino),
    device: `${(stat.dev >> 8n) & 0xfffn}:${minor}`,
    access: ACCESSES[Number.parseInt(flags, 8) & 3],
  };
}

function inOrder(files: readonly KernelFile[]): KernelFile[] {
  return files
    .map((file) => ({ ...file, fds: [...file.fds].sort((a, b) => a - b) }))
    .sort((a, b) => a.fds[0] - b.fds[0]);
}

function asKernelFiles(rows: readonly Row[]): KernelFile[] {
  return inOrder(
    rows.map(({ fds, path, is_deleted, size, inode, device, access }) => ({
      fds,
      path,
      is_deleted,
      size,
      inode,
      device,
      access,
    })),
  );
}

const openedNs = ({ opened }: Row): bigint => BigInt(Date.parse(opened)) * 1_000_000n;

function assertOpenedWithin(row: Row, [before, after]: readonly [bigint, bigint], offsetNs: bigint): void {
  const boot = openedNs(row) - offsetNs;
  assert.ok(boot >= before - TOLERANCE_NS && boot <= after + TOLERANCE_NS, `${row.path} opened at ${boot}`);
}

for (const [isAdopted, reads] of [
  [false, 'auto'],
  [true, 'auto'],
  [true, 'probe'],
] as const) {
  test(
    `open lists what /proc/PID/fd lists of files opened ${isAdopted ? 'before' : 'after'} the start (kernel.reads: ${reads})`,
    { skip },
    async (t) => {
      const { group, start, rows, workload: startOne } = await makeBench(t);
      let workload: Workload;
      let collector: Collector;
      if (isAdopted) {
        workload = await startOne('adopted', 31);
        collector = await start({ 'kernel.reads': reads });
      } else {
        collector = await start({ 'kernel.reads': reads });
        workload = await startOne('adopted', 31);
      }
      const offsetNs = measureClockOffsetNs();
      unlinkSync(join(workload.directory, 'adopted-3'));
      appendFileSync(join(workload.directory, 'adopted-4'), 'twelve bytes');
      const seen = (await rows()).filter(({ pid }) => pid === workload.pid);
      assert.deepEqual(asKernelFiles(seen), filesOf(workload.pid, workload.directory));
      assert.equal(seen.filter(({ is_deleted: isDeleted }) => isDeleted).length, 1);
      for (const row of seen) {
        assert.equal(row.container_id, group.id);
        assert.equal(row.process, 'workload');
        assert.equal(row.is_adopted, isAdopted);
        assert.equal(row.has_more_fds, false);
      }
      workload.go();
      const { expected } = await workload.finished();
      assert.deepEqual(await rows(), [], 'nothing is open any more');
      for (const row of isAdopted ? [] : seen)
        assertOpenedWithin(row, expected.find(({ fd }) => fd === row.fds[0])!.openedBootNs, offsetNs);
      await collector.stop();
    },
  );
}

test('open follows duplicates, and says when a file has more numbers than it names', { skip }, async (t) => {
  const { folder, group, start, rows } = await makeBench(t);
  writeFileSync(join(folder, 'log'), '');
  const collector = await start();
  const shell = await startShell(t, group);
  const pid = await shell(`exec 7>>'${folder}/log' 8>&7; exec 7>&-`);
  const ofShell = async (): Promise<readonly Row[]> => (await rows()).filter((row) => row.pid === pid);
  assert.deepEqual(asKernelFiles(await ofShell()), filesOf(pid, folder));
  await shell('exec 3>&8 4>&8 5>&8 6>&8 7>&8');
  const [row] = await ofShell();
  assert.equal(row.has_more_fds, true);
  const kernel = filesOf(pid, folder)[0].fds;
  assert.equal(kernel.length, 6);
  assert.deepEqual(
    row.fds.filter((fd) => !kernel.includes(fd)),
    [],
    'each that it names is one',
  );
  await shell('exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&-');
  assert.deepEqual(await ofShell(), []);
  await collector.stop();
});

test('--path and --container choose, by glob and by name, id or its beginning', { skip }, async (t) => {
  const { group, start, rows, socket, workload: startOne } = await makeBench(t);
  const collector = await start();
  const { directory } = await startOne('adopted', 12);
  const paths = async (...args: readonly string[]): Promise<string[]> =>
    (await rows(...args)).map(({ path }) => path.slice(directory.length + 1)).sort();
  assert.deepEqual(await paths('--path', `${directory}/adopted-1*`), [
    'adopted-1',
    'adopted-10',
    'adopted-11',
  ]);
  assert.deepEqual(await paths('--path', '/nowhere/**'), []);
  assert.equal((await paths('--container', group.id)).length, 12);
  assert.equal((await paths('--container', group.id.slice(0, 12), '--path', '**/adopted-7')).length, 1);
  const nobody = await runToExit(['open', '--socket', socket, '--container', 'nobody']);
  assert.equal(nobody.exitCode, 0);
  assert.equal(nobody.stdout, 'no open file\n');
  assert.match(nobody.stderr, /no container has the name or id "nobody"/);
  const table = await runToExit(['open', '--socket', socket, '--path', '**/adopted-7']);
  assert.match(table.stdout, /^CONTAINER +PID PROCESS .* PATH\n.* workload .*\/adopted-7\n$/);
  const bad = await runToExit(['open', '--socket', socket, '--path', '{']);
  assert.equal(bad.exitCode, 64, bad.stderr);
  await collector.stop();
});

test('10,007 open files are all listed, the longest open first', { skip }, async (t) => {
  const { start, rows, workload: startOne } = await makeBench(t);
  const collector = await start();
  const workload = await startOne('hold', 10_007);
  workload.go();
  await workload.line('holding');
  const seen = await rows();
  assert.equal(seen.length, 10_007);
  assert.equal(new Set(seen.map(({ pid, fds }) => `${pid}/${fds.join()}`)).size, 10_007);
  assert.deepEqual(
    seen.map(({ open_ns: openNs }) => openNs),
    seen.map(({ open_ns: openNs }) => openNs).toSorted((a, b) => b - a),
  );
  await collector.stop();
});

/** Rows of the files, once all of them are a second old: younger ones aren't kept. */
async function keptRows(rows: () => Promise<readonly Row[]>, count: number): Promise<readonly Row[]> {
  const deadlineMs = performance.now() + DEADLINE_MS;
  for (;;) {
    const seen = await rows();
    if (seen.length === count && seen.every(({ open_ns: openNs }) => openNs > 1.2e9)) return seen;
    assert.ok(performance.now() < deadlineMs, `${seen.length} files are open`);
    await delay(50);
  }
}

test(
  'files that stay open over a restart of fdspan keep their time, in rows and in spans',
  { skip },
  async (t) => {
    const { start, rows, spans, group, workload: startOne } = await makeBench(t);
    const first = await start();
    const workload = await startOne('adopted', 31);
    const before = await keptRows(rows, 31);
    const stopped = await first.stop();
    assert.equal(stopped.counters.open_times_restored, 0);
    const sentBefore = spans().length;
    const second = await start();
    const offsetNs = measureClockOffsetNs();
    const after = await rows();
    assert.deepEqual(asKernelFiles(after), asKernelFiles(before));
    for (const row of after) {
      const known = before.find(({ path }) => path === row.path)!;
      assert.equal(row.is_adopted, false);
      const differenceNs = openedNs(row) - openedNs(known);
      assert.ok(differenceNs <= TOLERANCE_NS && -differenceNs <= TOLERANCE_NS, `${differenceNs} ns apart`);
    }
    workload.go();
    const { expected } = await workload.finished();
    const { counters } = await second.stop();
    assert.equal(counters.open_times_restored, 31);
    const own = spans().slice(sentBefore);
    assertSameSpans(
      expected.map((span) => ({ ...span, isAdopted: false })),
      own,
      { offsetNs, containerId: group.id },
    );
  },
);

test(
  'an adopted file stays adopted over a restart, and since when it was known stays known',
  { skip },
  async (t) => {
    const { start, rows, workload: startOne } = await makeBench(t);
    await startOne('adopted', 7);
    const first = await start();
    const before = await keptRows(rows, 7);
    await first.stop();
    const second = await start();
    const after = await rows();
    assert.equal(after.length, 7);
    for (const row of after) {
      const known = before.find(({ path }) => path === row.path)!;
      assert.ok(row.is_adopted);
      assert.ok(openedNs(row) - openedNs(known) <= TOLERANCE_NS);
    }
    await second.stop();
  },
);

test('a state file that is damaged is said so, and files count as adopted', { skip }, async (t) => {
  const { start, rows, stateFile, workload: startOne } = await makeBench(t);
  await startOne('adopted', 7);
  const first = await start();
  await keptRows(rows, 7);
  await first.stop();
  const bytes = readFileSync(stateFile);
  bytes[60] ^= 1;
  writeFileSync(stateFile, bytes);
  const second = await start();
  const warning = second.logs.find(({ level, path }) => level === 'warn' && path === stateFile);
  assert.match(String(warning?.error), /checksum/);
  assert.deepEqual(
    (await rows()).map(({ is_adopted: isAdopted }) => isAdopted),
    new Array(7).fill(true),
  );
  await second.stop();
});

test('redacted paths are in no row and in no span, however a process names them', { skip }, async (t) => {
  const { folder, group, start, rows, spans } = await makeBench(t);
  const shell = await startShell(t, group);
  const redact = JSON.stringify([{ path: `${folder}/**`, with: 'hash' }]);
  const collector = await start({ 'files.redact': redact, 'spans.failed_opens': '[ENOENT]' });
  await shell(`exec 7> ${folder}/SECRET-held`);
  await shell(
    `cd ${folder}; echo hi > SECRET-closed; read x < ./SECRET-missing; read x < /../${folder}/SECRET-none`,
  );
  const all = await rows();
  assert.doesNotMatch(JSON.stringify(all), /SECRET/);
  const [held] = all.filter(({ fds }) => fds.includes(7));
  const mark = '…[0-9a-f]{16}$';
  assert.match(held.path, new RegExp(`^${folder}/${mark}`));
  assert.deepEqual(await rows('--path', '**/SECRET*'), [], 'nobody learns by asking');
  assert.deepEqual((await rows('--path', held.path)).length, 1);
  await shell('exec 7>&-');
  await collector.stop();
  const paths = spans().map(({ attributes }) => attributes['file.path'] as string);
  assert.doesNotMatch(
    JSON.stringify(spans(), (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
    /SECRET/,
  );
  assert.ok(paths.includes(held.path), 'the span has the same hash');
  const hidden = paths.filter((path) => new RegExp(`^(${folder}/)?${mark}`).test(path));
  assert.equal(new Set(hidden).size, 4, paths.join('\n'));
});

test('reports go on after a restart where they ended before it', { skip }, async (t) => {
  const { start, spans, rows, workload: startOne } = await makeBench(t);
  const set = { 'spans.held.after': '300ms', 'spans.held.every': '2s', 'limits.metadata_wait': '0' };
  const first = await start(set);
  const workload = await startOne('adopted', 3);
  await keptRows(rows, 3);
  const stopped = await first.stop();
  const before = stopped.counters.held_spans_accepted;
  assert.ok(before >= 3);
  const second = await start(set);
  const reports = (): SeenSpan[] =>
    spans().filter(({ attributes }) => attributes['fdspan.close.reason'] === 'held');
  const deadlineMs = performance.now() + DEADLINE_MS;
  while (reports().length < before + 3) {
    assert.ok(performance.now() < deadlineMs, `${reports().length} reports came`);
    await delay(50);
  }
  workload.go();
  await workload.finished();
  await second.stop();
  for (const own of Map.groupBy(reports(), ({ attributes }) => attributes['file.path']).values()) {
    own.sort((a, b) => (a.startUnixNs < b.startUnixNs ? -1 : 1));
    own.slice(1).forEach((span, index) => {
      // Two collectors measure wall minus boot time at different moments.
      const gapNs = span.startUnixNs - own[index].endUnixNs;
      assert.ok(gapNs < TOLERANCE_NS && -gapNs < TOLERANCE_NS, `${gapNs} ns between two reports`);
    });
  }
});
