// The synchronous root: the pump's worker. Builds the stages from the first message and runs until told to stop.
import { parentPort, receiveMessageOnPort } from 'node:worker_threads';
import { checkRecord } from './decode/check-record.ts';
import { OpenRequest } from './encode/request.ts';
import { SpanArena } from './encode/span-arena.ts';
import { ScopeTable } from './enrich/scope-table.ts';
import { WaitingArea } from './enrich/waiting-area.ts';
import { PairSampler } from './filter/pair-sampler.ts';
import { PathRedaction } from './filter/path-redaction.ts';
import { LiveTraces } from './group/live-traces.ts';
import type { FromPump, PumpOptions, ToPump } from './model/pump-messages.ts';
import { Pump } from './pump/pump.ts';
import { createRingViews, preferThisThread, readClock, Waiter } from './ring/libc.ts';
import { RingReader } from './ring/ring-reader.ts';
import { WallClock } from './ring/wall-clock.ts';

/**
 * Scopes for each container. Reason: the registry's bound: sixteen groups for each, and one more for each of twice as
 * many containers, those that are gone or denied among them. What belongs to no container takes no place.
 */
const SCOPES_PER_CONTAINER = 18;
/** Scopes that wait for a verdict at once. Reason: it comes in milliseconds. Overflow: `unjudged_overflow`. */
const SCOPES_WAITING_MAX = 4096;

if (parentPort === null) throw new Error('pump-worker.ts is a worker: start it through the collector');
const port = parentPort;
const post = (message: FromPump): void => port.postMessage(message);

port.once('message', (options: PumpOptions) => {
  try {
    runPump(options);
  } catch (error) {
    const { message, stack } = error instanceof Error ? error : new Error(String(error));
    post({ type: 'failed', message, stack: stack ?? '' });
  }
});

function runPump(options: PumpOptions): void {
  preferThisThread();
  const waiter = new Waiter(options.ringFd, options.eventFd);
  const request = new OpenRequest(options);
  const sealed = options.buffers.map((buffer) => new SpanArena(Buffer.from(buffer)));
  const pump = new Pump(options, {
    ring: new RingReader(
      createRingViews(options.consumerAddress, options.producerAddress, options.ringBytes),
    ),
    waiter,
    clock: new WallClock(readClock),
    check: checkRecord,
    scopes: new ScopeTable(
      SCOPES_PER_CONTAINER * options.containersMax + SCOPES_WAITING_MAX,
      SCOPES_WAITING_MAX,
    ),
    waiting: new WaitingArea(options.waitingRecordsMax),
    traces: new LiveTraces(options),
    sampler: new PairSampler(options.sampling),
    request,
    redaction: new PathRedaction(options.redaction),
    sealInto: (index) => request.seal(sealed[index]),
    receive: () => receiveMessageOnPort(port)?.message as ToPump | undefined,
    post,
  });
  pump.run();
  waiter.close();
}
