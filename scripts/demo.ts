// The demonstration: a viewer on loopback, a container that works on files, fdspan between them, and a
// table of the spans. Everything it starts it also ends, after --seconds or at Ctrl-C.
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { whyNoContainers, type OciRuntime } from '../test/helpers/container.ts';
import { startDemoContainer, type DemoContainer } from './demo/container.ts';
import { OwnedProcess } from './demo/owned-process.ts';
import { summaryText } from './demo/summary-text.ts';
import { startViewer, type Viewer } from './demo/viewer.ts';

const READY_DEADLINE_MS = 30_000;

/** Reason: `limits.stop_deadline` is 10 s, and then the queue is dropped and counted. */
const STOP_DEADLINE_MS = 20_000;

const program = new URL('../bin/fdspan', import.meta.url).pathname;

interface DemoOptions {
  readonly seconds: number;
  readonly runtime: OciRuntime;
}

function readOptions(): DemoOptions {
  const { values } = parseArgs({
    options: { seconds: { type: 'string', default: '20' }, runtime: { type: 'string' } },
  });
  const seconds = Number(values.seconds);
  if (!(seconds > 0)) throw new RangeError(`--seconds ${values.seconds}: give a number of seconds above 0`);
  const runtime = values.runtime ?? (whyNoContainers('runc') === null ? 'runc' : 'crun');
  if (runtime !== 'runc' && runtime !== 'crun')
    throw new RangeError(`--runtime ${runtime}: give runc or crun`);
  const reason = whyNoContainers(runtime);
  if (reason !== null) throw new Error(reason);
  return { seconds, runtime };
}

/** Resolves at the end of the time, at the first SIGINT or SIGTERM, or when fdspan ends by itself. */
function untilTheEnd(seconds: number, collector: OwnedProcess): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => resolve());
    void collector.ended.then(() => resolve());
    timer.unref();
    // The children keep the loop alive; the timer alone would not end it early.
  });
}

function endpointOfUser(): string | undefined {
  const { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT } = process.env;
  return OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? OTEL_EXPORTER_OTLP_ENDPOINT;
}

function startCollector(container: DemoContainer, viewer: Viewer | null): OwnedProcess {
  const args = ['run', '--set', `containers.allow=[{"id":"${container.id}"}]`];
  args.push('--set', `containers.runtimes={podman: ${container.runtimeSocket}}`);
  // So that the root of a process that goes on, the shell, comes while somebody looks.
  args.push('--set', 'trace.window=5s');
  const env = viewer === null ? {} : { OTEL_EXPORTER_OTLP_ENDPOINT: viewer.grpcEndpoint };
  return new OwnedProcess('fdspan', program, args, { env, standardError: 'lines' });
}

/** Starts all, waits, and stops in the order in which nothing is lost: fdspan before its viewer. */
async function demonstrate({ seconds, runtime }: DemoOptions): Promise<void> {
  const started: (() => Promise<void>)[] = [];
  try {
    const wanted = endpointOfUser();
    const viewer = wanted === undefined ? await startViewer() : null;
    if (viewer !== null) started.push(() => viewer.stop());
    const container = await startDemoContainer(runtime);
    started.push(() => container.stop());
    const collector = startCollector(container, viewer);
    started.push(() => collector.stop(STOP_DEADLINE_MS));
    await collector.waitForLine((line) => line.includes('"msg":"ready"'), READY_DEADLINE_MS);

    console.log(`container  ${container.name} (${runtime}), ${container.cgroupPath}`);
    console.log(`look at    ${viewer === null ? `your backend, ${wanted}` : viewer.pageAddress}`);
    console.log(`stops in   ${seconds} s, or at Ctrl-C\n`);
    const tail = new OwnedProcess('fdspan tail', program, ['tail'], { standardError: 'inherit' });
    started.push(() => tail.stop(STOP_DEADLINE_MS));
    await untilTheEnd(seconds, collector);
    await tail.stop(STOP_DEADLINE_MS);
    await container.end();
    await collector.stop(STOP_DEADLINE_MS);
    console.log(`\n${summaryText(collector.lines)}`);
    if (collector.exitCode !== 0) throw new Error(`fdspan ended with exit code ${collector.exitCode}`);
  } finally {
    for (const stop of started.reverse())
      await stop().catch((error: unknown) => console.error('demo:', error));
  }
}

if (!existsSync(program)) throw new Error(`${program} is missing`);
try {
  await demonstrate(readOptions());
} catch (error) {
  console.error(`demo: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
