// Traces as the kernel slices them and the pump roots them. Every traced run asserts what holds for all traces
// (test/helpers/traces.ts); here is what is particular.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import type { ReceivedSpan } from '../helpers/otlp-receiver.ts';
import { tracedRun, type OpenRun } from './traced-run.ts';

const skip = whyNoKernelTests() ?? false;

/** Runs shell text in the container's group; its arguments are `$1` and so on. Resolves when it has exited. */
function shellIn({ group }: OpenRun, text: string, ...words: string[]): Promise<number | null> {
  const moved = `echo $$ > "$0"; exec sh -c '${text}' sh "$@"`;
  const shell = spawn('sh', ['-c', moved, group.procsFile, ...words], { stdio: 'ignore' });
  return new Promise((resolve) => shell.on('exit', resolve));
}

function attributesOf(roots: readonly ReceivedSpan[], key: string): unknown[] {
  return roots.map(({ span }) => span.attributes[key]);
}

const executableOf = ({ span }: ReceivedSpan): unknown => span.attributes['process.executable.name'];

test('each process has a root with its name, its end and its counts', { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-traces-'));
  try {
    const { roots } = await tracedRun({ scenario: 'kills', count: 7 }, async (run) => {
      run.workload.go();
      await run.workload.finished();
      assert.equal(await shellIn(run, ': > "$1/a"; : >> "$1/a"; : < "$1/a"; exit 3', folder), 3);
      assert.equal(await shellIn(run, ': < "$1/a"; exec cat "$1/a"', folder), 0);
    });
    const signals = attributesOf(roots, 'fdspan.exit.signal').filter((signal) => signal !== undefined);
    assert.deepEqual(new Set(signals), new Set(['SIGKILL']));
    assert.equal(signals.length, 7);
    const shells = roots.filter((root) => ['sh', 'dash', 'bash'].includes(String(executableOf(root))));
    const [shell] = shells.filter(({ span }) => Number(span.attributes['process.exit.code']) === 3);
    const { attributes, name } = shell.span;
    assert.equal(name, `process ${String(executableOf(shell))}`);
    assert.equal(Number(attributes['fdspan.files']), 3);
    assert.equal(Number(attributes['fdspan.files.write']), 2);
    assert.equal(Number(attributes['fdspan.files.read']), 1);
    assert.ok(Number(attributes['fdspan.opens']) >= 3, 'with those that filters left out');
    assert.equal(attributes['fdspan.slice.end'], 'exit');
    const executed = roots.find(({ span }) => span.attributes['fdspan.slice.end'] === 'exec');
    const cat = roots.find((root) => executableOf(root) === 'cat');
    assert.equal(cat?.span.attributes['process.pid'], executed?.span.attributes['process.pid']);
    assert.notEqual(cat?.span.traceId, executed?.span.traceId, 'another program is another execution');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test(
  'a slice ends at spans_max, and the opens of all slices are those that were seen',
  { skip },
  async () => {
    const { roots, files, counters } = await tracedRun({
      scenario: 'burst',
      count: 997,
      set: { 'trace.spans_max': '10' },
    });
    const sizes = Map.groupBy(files, ({ span }) => span.traceId);
    for (const spans of sizes.values()) assert.ok(spans.length <= 10, `${spans.length} files in a trace`);
    assert.ok(roots.length >= 100);
    const opens = attributesOf(roots, 'fdspan.opens').reduce((sum: number, value) => sum + Number(value), 0);
    assert.equal(opens, counters.opens_in_scope);
    assert.equal(new Set(attributesOf(roots, 'fdspan.execution.id')).size, 1, 'one process, one execution');
    const linked = roots.filter(({ span }) => span.links.length > 0);
    assert.equal(linked.length, roots.length - 1, 'each root but the first links to the one before');
  },
);

test('a slice ends where its paths are 256 KiB together, whatever their number', { skip }, async () => {
  const { files } = await tracedRun({ scenario: 'long-paths', count: 300 });
  const traces = Map.groupBy(files, ({ span }) => span.traceId);
  const sizes = [...traces.values()].map((spans) =>
    spans.reduce((sum, { span }) => sum + Buffer.byteLength(span.attributes['file.path'] as string), 0),
  );
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  assert.ok(bytes > 256 << 10, `${bytes} bytes of paths`);
  assert.ok(Math.max(...sizes) < (256 << 10) + 4096, `${sizes.join()} bytes`);
});

test('with group_by: container the files of all its processes are one trace', { skip }, async () => {
  const { roots, files } = await tracedRun({
    scenario: 'exits',
    count: 31,
    set: { 'trace.group_by': 'container' },
  });
  assert.equal(roots.length, 1);
  assert.equal(roots[0].span.name, `container ${roots[0].resource.attributes['service.name'] as string}`);
  assert.equal(Number(roots[0].span.attributes['fdspan.files']), files.length);
  assert.equal(roots[0].span.attributes['process.pid'], undefined);
});

test('a file that outlives its slice has a trace that links to the slice of its open', { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-traces-'));
  try {
    const fifo = join(folder, 'fifo');
    const { roots, files } = await tracedRun(
      { scenario: 'exits', count: 1, set: { 'trace.window': '1s', 'containers.labels': '[]' } },
      async (run) => {
        run.workload.go();
        await run.workload.finished();
        const text = 'mkfifo "$2"; exec 3> "$1/held"; : > "$1/short"; read line < "$2"; exec 3>&-; exit 0';
        const ended = shellIn(run, text, folder, fifo);
        const isShort = ({ span }: ReceivedSpan): boolean =>
          span.attributes['file.path'] === `${folder}/short`;
        await run.receiver.waitFor(({ spans, roots: sent }) => {
          const short = spans.find(isShort);
          return sent.some(({ span }) => span.traceId === short?.span.traceId);
        }, 30_000);
        const feeder = spawn('sh', ['-c', 'echo go > "$0"', fifo], { stdio: 'ignore' });
        await new Promise((resolve) => feeder.on('exit', resolve));
        await ended;
      },
    );
    const traceOf = (name: string): string =>
      files.find(({ span }) => span.attributes['file.path'] === `${folder}/${name}`)!.span.traceId;
    const late = roots.find(({ span }) => span.traceId === traceOf('held'))!;
    assert.notEqual(traceOf('held'), traceOf('short'));
    assert.equal(late.span.attributes['fdspan.slice.late'], true);
    assert.ok(late.span.links.some(({ traceId }) => traceId === traceOf('short')));
    assert.equal(
      traceOf('held').slice(18),
      traceOf('short').slice(18),
      'both were opened in one slice: one R',
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('of 1,009 processes that open and exit at once each has its trace', { skip }, async () => {
  const { roots, counters } = await tracedRun({ scenario: 'group-exits', count: 1009 });
  const ended = attributesOf(roots, 'fdspan.slice.end').filter((end) => end === 'exit');
  assert.ok(ended.length >= 1009 - Number(counters.slice_records_lost), `${ended.length} ended by exit`);
  assert.equal(counters.process_spans_encoded, roots.length);
});
