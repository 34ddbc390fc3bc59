// One traced run: a control group, a receiver, the collector and the workload, started and ended in order.
import type { TestContext } from 'node:test';
import { makeContainerGroup, type ContainerGroup } from '../helpers/cgroup.ts';
import { startCollector, type Collector, type Counters, type LogLine } from '../helpers/collector-process.ts';
import { startReceiver, type OtlpReceiver, type ReceivedSpan } from '../helpers/otlp-receiver.ts';
import {
  measureClockOffsetNs,
  startWorkload,
  type Workload,
  type WorkloadResult,
} from '../helpers/workload.ts';
import { assertTraces } from '../helpers/traces.ts';
import { assertSameSpans, type SeenSpan } from './compare-spans.ts';

export interface RunOptions {
  readonly scenario: string;
  readonly count: number;
  readonly set?: Readonly<Record<string, string>>;
  readonly protocol?: 'grpc' | 'http/protobuf';
  readonly hierarchy?: 'v2' | 'pids' | 'memory';
  /** The container appears only when the collector runs. */
  readonly isCollectorFirst?: boolean;
  /** Name of a group inside the container's, where the workload runs. */
  readonly nestedGroup?: string;
  /** Ids to trace in place of the group's. */
  readonly containerIds?: readonly string[];
  /** The workload has namespaces of its own, and its group is no container's. */
  readonly isIsolated?: boolean;
  readonly arguments?: readonly string[];
}

/** What is there while a run is going on. */
export interface OpenRun {
  readonly group: ContainerGroup;
  readonly workload: Workload;
  readonly collector: Collector;
  /** What the receiver has got so far. */
  spans(): SeenSpan[];
  readonly receiver: OtlpReceiver;
}

export interface RunResult {
  readonly containerId: string;
  readonly workload: WorkloadResult;
  readonly spans: readonly SeenSpan[];
  /** Of files and of traces, as they came. */
  readonly files: readonly ReceivedSpan[];
  readonly roots: readonly ReceivedSpan[];
  readonly counters: Counters;
  readonly logs: readonly LogLine[];
  readonly offsetNs: bigint;
}

/**
 * Traces a scenario from `ready` to the collector's stop, which asserts the law. `act` drives the workload
 * in place of the default (go, then wait for its end); what it leaves running is killed after the stop.
 */
export async function tracedRun(options: RunOptions, act = runToEnd): Promise<RunResult> {
  const cleanups: (() => Promise<unknown>)[] = [];
  try {
    return await tracedRunInside(options, act, cleanups);
  } finally {
    for (const cleanup of cleanups.reverse()) await cleanup();
  }
}

async function runToEnd({ workload }: OpenRun): Promise<void> {
  workload.go();
  await workload.finished();
}

async function tracedRunInside(
  options: RunOptions,
  act: (run: OpenRun) => Promise<void>,
  cleanups: (() => Promise<unknown>)[],
): Promise<RunResult> {
  const group = makeContainerGroup(options.hierarchy ?? 'v2', !options.isIsolated);
  cleanups.push(() => group.remove());
  const protocol = options.protocol ?? 'grpc';
  const receiver = await startReceiver({ protocol });
  cleanups.push(async () => receiver.close());
  const startOne = async (): Promise<Workload> => {
    const inside = options.nestedGroup === undefined ? group : group.nest(options.nestedGroup);
    const started = await startWorkload({ ...options, procsFiles: [inside.procsFile] });
    cleanups.push(() => started.end());
    return started;
  };
  let workload = options.isCollectorFirst ? null : await startOne();
  // What is in the group only: others of this machine may have namespaces of their own.
  const allow = options.isIsolated ? { 'containers.allow': JSON.stringify([{ cgroup: group.path }]) } : {};
  // No runtime knows the group: a start would wait for one that does.
  const wait = options.isCollectorFirst ? {} : { 'limits.metadata_wait': '0' };
  const set = { ...allow, ...wait, ...options.set };
  const collector = await startCollector({
    endpoint: receiver.endpoint,
    protocol,
    containerIds: options.containerIds ?? [group.id],
    set,
  });
  cleanups.push(() => collector.kill());
  workload ??= await startOne();
  const spans = (): SeenSpan[] => receiver.spans.map(readSpan);
  const offsetNs = measureClockOffsetNs();
  await act({ group, workload, collector, spans, receiver });
  const { counters, logs } = await collector.stop();
  const { spans: files, roots } = receiver;
  // A root counts what was sent, also what the queue then dropped.
  if (counters.spans_accepted === counters.spans_encoded) assertTraces(files, roots);
  const result = workload.result();
  return { containerId: group.id, workload: result, spans: spans(), files, roots, counters, logs, offsetNs };
}

/** Traces a scenario and asserts that fdspan's spans are exactly what the workload says. */
export async function assertTraced(context: TestContext, options: RunOptions): Promise<RunResult | null> {
  const result = await tracedRun(options);
  if (result.workload.skipped !== null) {
    context.skip(result.workload.skipped);
    return null;
  }
  assertSameSpans(result.workload.expected, result.spans, result);
  return result;
}

type Received = Awaited<ReturnType<typeof startReceiver>>['spans'][number];

/** Reads a span as the receivers give it. */
export function readSpan(received: Received): SeenSpan {
  const { span, resource } = received;
  return {
    name: span.name,
    startUnixNs: BigInt(span.startTimeUnixNano),
    endUnixNs: BigInt(span.endTimeUnixNano),
    attributes: plain(span.attributes),
    resource: plain('attributes' in resource ? resource.attributes : resource),
    statusCode: Number((span.status as { code?: number } | null | undefined)?.code ?? 0),
    traceId: span.traceId,
    traceState: span.traceState,
    flags: span.flags,
  };
}

function plain(attributes: unknown): Readonly<Record<string, unknown>> {
  return attributes instanceof Map
    ? Object.fromEntries(attributes)
    : (attributes as Readonly<Record<string, unknown>>);
}
