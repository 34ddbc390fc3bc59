// One soak: opens and closes as fast as they go, processes and containers that come and go, and a backend that is down a
// third of the time.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { PairsProcess } from '../bench/pairs-process.ts';
import { makeContainerGroup } from '../helpers/cgroup.ts';
import { startCollector, type Counters, type LogLine } from '../helpers/collector-process.ts';
import { freePort } from '../helpers/free-port.ts';
import { startWorkload } from '../helpers/workload.ts';
import { Backend, type Protocol } from './backend.ts';
import { reportOptions, takeSample, type Sample } from './samples.ts';

export interface SoakOptions {
  readonly seconds: number;
  readonly protocol: Protocol;
  /** Pairs a second; 0: as many as go. */
  readonly rate: number;
  /** 0: no spool. Less than what one outage fills. */
  readonly spoolBytes: number;
}

export interface SoakResult {
  readonly samples: readonly Sample[];
  /** Of the summary; the law was asserted. */
  readonly counters: Counters;
  readonly logs: readonly LogLine[];
  /** What the backend has got: different spans of files, and all. */
  readonly got: { readonly unique: number; readonly all: number };
  /** Pairs that the load did at least. */
  readonly pairs: number;
  readonly containers: number;
  readonly outages: number;
}

/** Outages in one run: each fifth of it holds two, so that the fifths are alike. */
const PERIODS = 10;
const SAMPLES = 120;
const LOAD_CORE = 0;
/** Pairs of one order to the load: well below a second of them. */
const PAIRS_AT_ONCE = 20_000;
const OPENS_OF_CONTAINER = 500;
const QUEUE_MIB = 16;
/** Of this run alone: what others hold open would be told, too. */
const GROUP_PREFIX = `fdspan-test-soak-${process.pid}-`;
const SAMPLE_MS_MIN = 400;

export async function runSoak(options: SoakOptions): Promise<SoakResult> {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-soak-'));
  const nodeOptions = process.env.NODE_OPTIONS;
  const backend = new Backend(options.protocol, join(folder, 'ids'));
  try {
    return await soakIn(folder, backend, options);
  } finally {
    if (nodeOptions === undefined) delete process.env.NODE_OPTIONS;
    else process.env.NODE_OPTIONS = nodeOptions;
    await backend.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function soakIn(folder: string, backend: Backend, options: SoakOptions): Promise<SoakResult> {
  const programs = join(import.meta.dirname, '../bench/programs');
  execFileSync('make', ['-s', '-C', programs, '../../../build/bench/pairs'], { stdio: 'inherit' });
  const file = join(folder, 'file');
  writeFileSync(file, 'x');
  const reportFolder = join(folder, 'reports');
  mkdirSync(reportFolder);
  await backend.start();
  const controlSocket = join(folder, 'control.sock');
  const prometheus = `127.0.0.1:${await freePort()}`;
  const spool = {
    'export.spool.dir': join(folder, 'spool'),
    'export.spool.bytes_max': String(options.spoolBytes),
  };
  process.env.NODE_OPTIONS = reportOptions(reportFolder);
  const collector = await startCollector({
    endpoint: backend.endpoint,
    protocol: options.protocol,
    containerIds: null,
    set: {
      'containers.allow': `[{cgroup: "/${GROUP_PREFIX}*/docker-*"}]`,
      'control.socket': controlSocket,
      'telemetry.metrics.prometheus': prometheus,
      'telemetry.metrics.containers': 'true',
      'export.queue.bytes_max': `${QUEUE_MIB}MiB`,
      // So few that each slot has been some container's before the first fifth of the run is over.
      'limits.containers': '256',
      'containers.keep_after_exit': '5s',
      // No runtime knows the groups.
      'limits.metadata_wait': '1ms',
      ...(options.spoolBytes === 0 ? {} : spool),
    },
  });
  delete process.env.NODE_OPTIONS;
  try {
    const sampled = {
      pid: collector.pid,
      controlSocket,
      metricsUrl: `http://${prometheus}/metrics`,
      reportFolder,
    };
    const until = performance.now() + options.seconds * 1000;
    const [pairs, containers, outages, samples] = await Promise.all([
      openAndClose(file, options.rate, until),
      comeAndGo(until),
      breakDown(backend, options.seconds, until),
      sample(() => backend.isUp, sampled, options.seconds, until),
    ]);
    const { counters, logs } = await collector.stop();
    return { samples, counters, logs, got: backend.spans(), pairs, containers, outages };
  } finally {
    await collector.kill();
  }
}

/** Opens and closes in a container that stays; returns how often. */
async function openAndClose(file: string, rate: number, untilMs: number): Promise<number> {
  const group = makeContainerGroup('v2', true, GROUP_PREFIX);
  const opener = await PairsProcess.start(group.procsFile, LOAD_CORE);
  let pairs = 0;
  while (performance.now() < untilMs) {
    if (rate === 0) await opener.pairs(PAIRS_AT_ONCE, file);
    else await opener.paced(rate, rate, file);
    pairs += rate === 0 ? PAIRS_AT_ONCE : rate;
  }
  await opener.end();
  await group.remove();
  return pairs;
}

/** Containers one after the other, each with many short processes; returns how many there were. */
async function comeAndGo(untilMs: number): Promise<number> {
  let containers = 0;
  for (; performance.now() < untilMs; containers += 1) {
    const group = makeContainerGroup('v2', true, GROUP_PREFIX);
    const swarm = { scenario: 'swarm', count: OPENS_OF_CONTAINER, procsFiles: [group.procsFile] };
    const workload = await startWorkload(swarm);
    workload.go();
    await workload.finished();
    await workload.end();
    await group.remove();
  }
  return containers;
}

/** The backend is down for the first third of each period; returns how often. */
async function breakDown(backend: Backend, seconds: number, untilMs: number): Promise<number> {
  const periodMs = (seconds * 1000) / PERIODS;
  let outages = 0;
  for (; untilMs - performance.now() > periodMs / 2; outages += 1) {
    await backend.kill();
    await delay(periodMs / 3);
    await backend.start();
    await delay((2 * periodMs) / 3);
  }
  return outages;
}

async function sample(
  isUp: () => boolean,
  sampled: Parameters<typeof takeSample>[0],
  seconds: number,
  untilMs: number,
): Promise<Sample[]> {
  const everyMs = Math.max(SAMPLE_MS_MIN, (seconds * 1000) / SAMPLES);
  const beganMs = untilMs - seconds * 1000;
  const samples: Sample[] = [];
  for (let nextMs = beganMs; nextMs < untilMs; nextMs = Math.max(nextMs + everyMs, performance.now())) {
    await delay(Math.max(0, nextMs - performance.now()));
    samples.push(await takeSample(sampled, (performance.now() - beganMs) / 1000, isUp()));
  }
  return samples;
}
