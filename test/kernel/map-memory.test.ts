// What docs/operating.md says of the kernel memory that the maps take is what the kernel shows of them.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { LOAD_ONLY } from '../../src/bpf/probe.ts';
import type { TracerOptions } from '../../src/bpf/settings.ts';
import { Tracer } from '../../src/bpf/tracer.ts';
import { whyNoKernelTests } from '../helpers/collector-process.ts';

const MIB = 2 ** 20;
/** The document's "rest", and what pages and links of a map take. */
const REST_BYTES_MAX = MIB;
const REST_BYTES_EACH_PROCESSOR = 5 * 1024;

interface Host {
  readonly openFiles: number;
  readonly ring: number;
  readonly containers: number;
  readonly hasMetrics: boolean;
  readonly pidMax: number;
  readonly processors: number;
}

interface DocumentedMap {
  readonly name: string;
  readonly bytesEach: number;
  readonly isByDefault: string;
}

const SERVER: Host = {
  openFiles: 262_144,
  ring: 8 * MIB,
  containers: 4096,
  hasMetrics: true,
  pidMax: 4_194_304,
  processors: 4,
};

function documentedMaps(): DocumentedMap[] {
  const text = readFileSync(join(import.meta.dirname, '../../docs/operating.md'), 'utf8');
  const [, section] = text.split('\n## Memory\n');
  const rows = section
    .split('\n## ')[0]
    .matchAll(/^\| ([a-z][^|]+) \| ([\d,]+) \| [^|]+ \| ([\d.]+ MiB) \|$/gm);
  return [...rows].map(([, name, bytes, isByDefault]) => ({
    name,
    bytesEach: Number(bytes.replaceAll(',', '')),
    isByDefault,
  }));
}

/** Those that may be plugged in later too, as the kernel counts for its maps: `0-3`, `0,2-5`. */
function possibleProcessors(): number {
  const ranges = readFileSync('/sys/devices/system/cpu/possible', 'utf8').trim().split(',');
  const counts = ranges.map((range) => {
    const [first, last = first] = range.split('-').map(Number);
    return last - first + 1;
  });
  return counts.reduce((sum, count) => sum + count, 0);
}

function powerOfTwo(least: number): number {
  return 2 ** Math.ceil(Math.log2(least));
}

function between(least: number, value: number, most: number): number {
  return powerOfTwo(Math.min(Math.max(value, least), most));
}

/** How many of each, by the document's words. */
const COUNTS: Readonly<Record<string, (host: Host) => number>> = {
  'open files': ({ openFiles }) => powerOfTwo(openFiles),
  'long paths': () => 2048,
  ring: ({ ring }) => ring,
  'metrics of containers': ({ containers, hasMetrics, processors }) =>
    hasMetrics ? ((containers + 1) * Math.min(4, powerOfTwo(processors))) / 4 : 0,
  'tasks in an open call': ({ pidMax }) => between(4096, pidMax, 262_144),
  'slices of traces': ({ pidMax }) => between(1024, pidMax, 16_384),
  globs: () => 2,
  'sampling of containers': ({ containers }) => containers + 1,
  groups: () => 8192,
  'metrics before a verdict': () => 1024,
  'counts of descriptor tables': () => 65_536,
};

/** Bytes that the kernel shows for all maps of this process, whose descriptors weren't there before. */
function shownBytes(): number {
  let bytes = 0;
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      if (!readlinkSync(`/proc/self/fd/${fd}`).endsWith('bpf-map')) continue;
      const info = readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8');
      bytes += Number(/^memlock:\s+(\d+)$/m.exec(info)?.[1]);
    } catch {
      // The descriptor of the folder itself is gone by now.
    }
  }
  return bytes;
}

function optionsOf({ openFiles, ring, containers, hasMetrics, pidMax }: Host): TracerOptions {
  return {
    ...LOAD_ONLY,
    openFilesMax: openFiles,
    ringBytes: ring,
    containersMax: containers,
    pidMax,
    ...(hasMetrics
      ? { metrics: { slotsMax: containers + 1, durationBoundsNs: [1n], failureErrnos: [1] } }
      : {}),
  };
}

test('the table of the document is right by its own numbers', () => {
  const maps = documentedMaps();
  assert.deepEqual(maps.map(({ name }) => name).sort(), Object.keys(COUNTS).sort());
  for (const { name, bytesEach, isByDefault } of maps)
    assert.equal(`${((bytesEach * COUNTS[name](SERVER)) / MIB).toFixed(1)} MiB`, isByDefault, name);
});

for (const [title, change] of [
  ['the defaults', {}],
  ['a small table of open files', { openFiles: 1000 }],
  ['a large ring', { ring: 32 * MIB }],
  ['few containers', { containers: 60 }],
  ['no metrics of containers', { hasMetrics: false }],
  ['few processes', { pidMax: 4096 }],
] as const)
  test(
    `the maps take what the document says, with ${title}`,
    { skip: whyNoKernelTests() ?? false },
    async () => {
      const host: Host = { ...SERVER, ...change, processors: possibleProcessors() };
      const tracer = await Tracer.open(optionsOf(host));
      try {
        const said = documentedMaps().reduce(
          (sum, { name, bytesEach }) => sum + bytesEach * COUNTS[name](host),
          0,
        );
        const rest = shownBytes() - said;
        assert.ok(
          rest >= 0 && rest <= REST_BYTES_MAX + host.processors * REST_BYTES_EACH_PROCESSOR,
          `${said} bytes and ${rest} more`,
        );
      } finally {
        tracer.close();
      }
    },
  );
