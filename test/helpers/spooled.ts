// Exporters with a spool in a folder of the test's own, run after run, as a collector that is started again.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { lockFile } from '../../src/bpf/libc.ts';
import type { ExportOptions } from '../../src/export/export-options.ts';
import { Spool, type SpoolListener } from '../../src/export/spool/spool.ts';
import { ExportHarness, exportRequest } from './export-harness.ts';
import type { OtlpReceiver } from './otlp-receiver.ts';

/** Spans of each request that {@link giveRequests} gives. */
export const SPANS = 10;

/** Returns a folder that is removed after the test. */
export function spoolFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-spool-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'spool');
}

/** Reason: far more than a disk takes on a machine that has other work. */
const CLOSE_MS = 60_000;

export const UNHEARD: SpoolListener = {
  recovered: () => {},
  lost: () => {},
  trouble: () => {},
  loadable: () => {},
};

/**
 * Leaves requests as {@link giveRequests} gives them in a spool, as many as there are numbers; the first `before` of them in a
 * file before the others. Without a stop, which has a time: however slow the disk is, all are there.
 */
export async function fillSpool(
  dir: string,
  requests: number,
  { before = 0, bytesMax = 64 << 20 } = {},
): Promise<void> {
  const spool = await Spool.open({ dir, bytesMax }, lockFile);
  spool.begin(UNHEARD);
  const put = async (sequence: number, isBefore: boolean): Promise<void> => {
    const head = { sequence, spans: SPANS, processSpans: 0, heldSpans: 0, encoding: 'zstd' } as const;
    await spool.append(head, zstdCompressSync(exportRequest(SPANS, tagOf(sequence))), isBefore);
  };
  for (const index of range(before, requests)) await put(index, false);
  for (const index of range(0, before)) await put(index, true);
  assert.equal(spool.waiting.spans, requests * SPANS);
  await spool.close(CLOSE_MS);
}

export interface SpooledOptions extends Partial<ExportOptions> {
  readonly endpoint: string;
  readonly spoolBytesMax?: number;
  readonly openMs?: number | undefined;
}

/** Starts an exporter over the folder. Memory holds some 10 requests of {@link giveRequests}. */
export async function startSpooled(
  dir: string,
  { spoolBytesMax = 64 << 20, openMs, ...options }: SpooledOptions,
): Promise<ExportHarness> {
  const spool = await Spool.open({ dir, bytesMax: spoolBytesMax, openMs }, lockFile);
  return new ExportHarness({ protocol: 'http/protobuf', queueBytesMax: 40_000, ...options }, spool);
}

/** Gives requests whose spans are named after their number, as fast as the disk takes them. */
export async function giveRequests(harness: ExportHarness, from: number, to: number): Promise<void> {
  for (let index = from; index < to; index += 1) {
    await harness.give(exportRequest(SPANS, tagOf(index)), SPANS);
    await until(() => harness.exporter.hasRoom);
  }
}

export function tagOf(index: number): string {
  return `request ${String(index).padStart(5, '0')}`;
}

/** The numbers of the requests that came, in order of arrival, each once a request. */
export function numbersOf({ spans }: OtlpReceiver): number[] {
  const names = spans.map(({ span }) => span.name);
  assert.equal(names.length % SPANS, 0, 'requests come whole');
  return names
    .filter((_name, index) => index % SPANS === 0)
    .map((name) => Number(/^request (\d+) 0$/.exec(name)?.[1]));
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_value, index) => from + index);
}

/** The files of the spool but for its lock. */
export function segmentFiles(dir: string): string[] {
  return readdirSync(dir)
    .filter((name) => name.endsWith('.spool'))
    .sort()
    .map((name) => join(dir, name));
}

/** Resolves when the predicate holds. It is asked whenever the event loop turns: the test's own limit ends it. */
export async function until(predicate: () => boolean): Promise<void> {
  while (!predicate()) await new Promise(setImmediate);
}
