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
import { sampledEnvironment, takeSample, type Sample } from './samples.ts';

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
const SAMPLE_SECONDS_MIN = 0.4;

export async function runSoak(options: SoakOptions): Promise<SoakResult> {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-soak-'));
  const backend = new Backend(options.protocol, join(folder, 'ids'));
  try {
    return await soakIn(folder, backend, options);
  } finally {
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
  const collector = await startCollector({
    environment: sampledEnvironment(reportFolder),
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
  try {
    const sampled = {
      pid: collector.pid,
      controlSocket,
      metricsUrl: `http://${prometheus}/metrics`,
      reportFolder,
    };
    const until = new Until(options.seconds);
    const [pairs, containers, outages, samples] = await until.all([
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

/** The end of the run: its time, or the first failure of one of its parts. */
class Until {
  readonly #beganMs = performance.now();
  readonly #endMs: number;
  readonly #failed = new AbortController();

  constructor(seconds: number) {
    this.#endMs = this.#beganMs + seconds * 1000;
  }

  get seconds(): number {
    return (performance.now() - this.#beganMs) / 1000;
  }

  get leftMs(): number {
    return this.#failed.signal.aborted ? 0 : this.#endMs - performance.now();
  }

  get isOver(): boolean {
    return this.leftMs <= 0;
  }

  /** Resolves after that time, or at once when a part has failed. */
  async wait(ms: number): Promise<void> {
    await delay(Math.max(0, ms), undefined, { signal: this.#failed.signal }).catch(() => {});
  }

  /** Waits for all parts, which end soon when one fails; then rejects as the first did. */
  async all<Parts extends readonly unknown[]>(parts: {
    [Part in keyof Parts]: Promise<Parts[Part]>;
  }): Promise<Parts> {
    const failing = parts.map((part) => part.catch((error: unknown) => this.#failed.abort(error)));
    await Promise.all(failing);
    this.#failed.signal.throwIfAborted();
    return await Promise.all(parts);
  }
}

/** Opens and closes in a container that stays; returns how often. */
async function openAndClose(file: string, rate: number, until: Until): Promise<number> {
  const group = makeContainerGroup('v2', true, GROUP_PREFIX);
  try {
    const opener = await PairsProcess.start(group.procsFile, LOAD_CORE);
    let pairs = 0;
    while (!until.isOver) {
      if (rate === 0) await opener.pairs(PAIRS_AT_ONCE, file);
      else await opener.paced(rate, rate, file);
      pairs += rate === 0 ? PAIRS_AT_ONCE : rate;
    }
    await opener.end();
    return pairs;
  } finally {
    await group.remove();
  }
}

/** Containers one after the other, each with many short processes; returns how many there were. */
async function comeAndGo(until: Until): Promise<number> {
  let containers = 0;
  for (; !until.isOver; containers += 1) {
    const group = makeContainerGroup('v2', true, GROUP_PREFIX);
    try {
      const swarm = { scenario: 'swarm', count: OPENS_OF_CONTAINER, procsFiles: [group.procsFile] };
      const workload = await startWorkload(swarm);
      workload.go();
      await workload.finished();
      await workload.end();
    } finally {
      await group.remove();
    }
  }
  return containers;
}

/** The backend is down for the first third of each period; returns how often. */
async function breakDown(backend: Backend, seconds: number, until: Until): Promise<number> {
  const periodMs = (seconds * 1000) / PERIODS;
  let outages = 0;
  for (; until.leftMs > periodMs / 2; outages += 1) {
    await backend.kill();
    await until.wait(periodMs / 3);
    await backend.start();
    await until.wait((2 * periodMs) / 3);
  }
  return outages;
}

async function sample(
  isUp: () => boolean,
  sampled: Parameters<typeof takeSample>[0],
  seconds: number,
  until: Until,
): Promise<Sample[]> {
  const every = Math.max(SAMPLE_SECONDS_MIN, seconds / SAMPLES);
  const samples: Sample[] = [];
  for (let next = 0; !until.isOver; next = Math.max(next + every, until.seconds)) {
    await until.wait((next - until.seconds) * 1000);
    samples.push(await takeSample(sampled, until.seconds, isUp()));
  }
  return samples;
}
