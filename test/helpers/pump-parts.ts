// A pump's options and real stages, as src/pump-worker.ts puts them together, over a ring that the test brings.
import { checkRecord } from '../../src/decode/check-record.ts';
import { OpenRequest } from '../../src/encode/request.ts';
import { SpanArena } from '../../src/encode/span-arena.ts';
import { ScopeTable } from '../../src/enrich/scope-table.ts';
import { WaitingArea } from '../../src/enrich/waiting-area.ts';
import { PairSampler } from '../../src/filter/pair-sampler.ts';
import { PathRedaction } from '../../src/filter/path-redaction.ts';
import { LiveTraces } from '../../src/group/live-traces.ts';
import { COUNTER_BLOCK_BYTES } from '../../src/model/counters.ts';
import type { PumpOptions } from '../../src/model/pump-messages.ts';
import { samplingBlockBytes } from '../../src/model/sampling-words.ts';
import { slotCountBytes } from '../../src/model/slot-counts.ts';
import type { PumpStages } from '../../src/pump/pump-stages.ts';
import { readClock, Waiter } from '../../src/ring/libc.ts';
import { WallClock } from '../../src/ring/wall-clock.ts';
import { eventfd } from './ring-memory.ts';

/** `buffersMax`: how many request buffers there are, each of `requestBytesMax`. */
export function makePumpOptions({
  containersMax = 64,
  requestBytesMax = 1 << 20,
  buffersMax = 2,
  ...options
}: Partial<PumpOptions> & Pick<PumpOptions, 'ringBytes'> & { readonly buffersMax?: number }): PumpOptions {
  return {
    ringFd: -1,
    consumerAddress: 0n,
    producerAddress: 0n,
    eventFd: eventfd(0, 0) as number,
    counters: new SharedArrayBuffer(COUNTER_BLOCK_BYTES),
    slotCounts: new SharedArrayBuffer(slotCountBytes(containersMax + 1)),
    sampling: new SharedArrayBuffer(samplingBlockBytes(containersMax + 1)),
    bootIdLo: 1,
    bootIdHi: 2,
    requestBytesMax,
    requestSpansMax: 512,
    requestAgeMaxMs: 60_000,
    buffers: Array.from({ length: buffersMax }, () => new SharedArrayBuffer(requestBytesMax)),
    containersMax,
    waitingRecordsMax: 100,
    attributes: 'full',
    spanName: 'template',
    spanNamesMax: 200,
    scopeVersion: '1.2.3',
    traceGroupBy: 'process',
    sliceMs: 15_000,
    sliceSpansMax: 1000,
    ...options,
  };
}

/** All stages but those that a test plays itself, and the arenas that requests are sealed into, by index. */
export function makePumpStages(options: PumpOptions): {
  readonly stages: Omit<PumpStages, 'ring' | 'receive' | 'post'>;
  readonly sealed: readonly SpanArena[];
} {
  const request = new OpenRequest(options);
  const sealed = options.buffers.map((buffer) => new SpanArena(Buffer.from(buffer)));
  const stages = {
    waiter: new Waiter(-1, options.eventFd),
    clock: new WallClock(readClock),
    check: checkRecord,
    scopes: new ScopeTable(1024),
    waiting: new WaitingArea(options.waitingRecordsMax),
    traces: new LiveTraces(options),
    sampler: new PairSampler(options.sampling),
    redaction: new PathRedaction(options.redaction),
    request,
    sealInto: (index: number) => request.seal(sealed[index]),
  };
  return { stages, sealed };
}
