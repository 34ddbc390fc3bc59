// One cell of the compatibility matrix: two containers of one runtime, started in one way on one kind of host, and what
// fdspan must say of each. What it must say comes from the runtime and from /proc, never from fdspan.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { TestContext } from 'node:test';
import type { Counters, LogLine } from '../../helpers/collector-process.ts';
import type { OtlpAttributes } from '../../helpers/otlp-messages.ts';
import { startReceiver, type OtlpReceiver } from '../../helpers/otlp-receiver.ts';

/** Own files that each container opens; none of the runtimes' own numbers. */
export const OPENS = 17;

/** Reason: podman takes 1.6 s for its first answer on a busy machine; without it fdspan goes on with what files tell. */
export const METADATA_WAIT = '3s';

/** Reason: seventeen redirections take 0.1 s; other tests may share the machine's 2 cores. */
const DONE_TIMEOUT_MS = 30_000;
const LOOK_MS = 20;

export interface GroupAttributes {
  readonly 'fdspan.cgroup.version': string;
  readonly 'fdspan.cgroup.path': string;
}

export interface CellContainer {
  /** Names its files: /tmp/MARKER-0 and so on. */
  readonly marker: string;
  readonly id: string;
  /** Its first process as seen from this machine: /proc/PID, or the same below another host's root. */
  readonly processFolder: string;
  /** Its root's folder; by default that of the process. */
  readonly root?: string;
  /** Lets it write its files; by default by a file in its root. */
  readonly go?: () => Promise<unknown>;
  /** Its control group, as attributes; from /proc. */
  readonly group: GroupAttributes;
  /** Attributes of its resource that the runtime was given or tells; undefined: must not be there. */
  readonly expected: Readonly<Record<string, OtlpAttributes[string] | undefined>>;
  /** All labels, by key. */
  readonly labels: Readonly<Record<string, string>>;
}

/** The value of `containers.runtimes`. */
export type RuntimesValue = 'auto' | Readonly<Record<string, string>>;

/** What `fdspan run` is started with. */
export interface CellSettings {
  readonly endpoint: string;
  /** The value of `containers.allow`. */
  readonly allow: readonly Readonly<Record<string, string>>[];
  readonly runtimes: RuntimesValue;
  /** More `--set` values. */
  readonly set: Readonly<Record<string, string>>;
}

/** A running fdspan; its stop checks the law of conservation. */
export interface CellCollector {
  stop(): Promise<{ readonly counters: Counters; readonly logs: readonly LogLine[] }>;
}

export interface StartedCell {
  /** Those that wait for /go; or starts those that don't wait, once fdspan runs. */
  readonly containers: readonly CellContainer[] | (() => Promise<readonly CellContainer[]>);
  /** The value of `containers.allow`; by default the containers' ids. */
  readonly allow?: readonly Readonly<Record<string, string>>[];
  readonly runtimes: RuntimesValue;
  readonly set?: Readonly<Record<string, string>>;
  /** Compares in another way than {@link checkSpans}. */
  readonly check?: (receiver: OtlpReceiver, containers: readonly CellContainer[]) => void;
  /** Runs fdspan where the containers are; ends it after the test. */
  startCollector(t: TestContext, settings: CellSettings): Promise<CellCollector>;
}

export interface Cell {
  readonly runtime: string;
  /** `cgroupfs`, `systemd`, or who else makes the control groups. */
  readonly groups: string;
  readonly host: string;
  /** Part of the ordinary test run. */
  readonly isQuick: boolean;
  /** Why it can't be tried here; null when it can. */
  whyNot(): string | null;
  /** The tool's own words where it refuses this combination: then the cell can't be had, and fdspan isn't asked. */
  readonly refusal?: RegExp;
  /** Why fdspan can't tell these containers apart: then it must not trace them at all. */
  readonly limit?: string;
  start(t: TestContext): Promise<StartedCell>;
}

/** What was seen of a cell. */
export type CellOutcome =
  | { readonly type: 'seen'; readonly container: CellContainer; readonly runtimes: RuntimesValue }
  /** In the tool's own words. */
  | { readonly type: 'refused'; readonly reason: string };

/** Waits for /go, writes its own files, and says so by a folder; waiting opens nothing. */
export function script(marker: string, folder = '/tmp'): string {
  return `while [ ! -e /go ]; do sleep 0.05; done; ${scriptAtOnce(marker, folder)}`;
}

/** Writes its files without waiting. */
export function scriptAtOnce(marker: string, folder = '/tmp'): string {
  const opens = `i=0; while [ $i -lt ${OPENS} ]; do echo hi > ${folder}/${marker}-$i; i=$((i+1)); done`;
  return `${opens}; mkdir /done; exec sleep 1000000`;
}

/** Starts fdspan, lets the containers open their files, compares every span and resource, and returns the containers. */
export async function runCell(
  t: TestContext,
  started: StartedCell,
  limit?: string,
): Promise<readonly CellContainer[]> {
  const receiver = await startReceiver({ protocol: 'grpc' });
  t.after(() => receiver.close());
  const { containers: given, runtimes } = started;
  const isLate = typeof given === 'function';
  const allow = started.allow ?? (isLate ? [] : given.map(({ id }) => ({ id })));
  const settings = { endpoint: receiver.endpoint, allow, runtimes, set: started.set ?? {} };
  const collector = await started.startCollector(t, settings);
  const containers = isLate ? await given() : given;
  for (const { go, processFolder } of isLate ? [] : containers)
    await (go?.() ?? writeFile(`${processFolder}/root/go`, ''));
  for (const container of containers) await untilDone(container);
  const { counters, logs } = await collector.stop();
  try {
    if (limit === undefined) (started.check ?? checkSpans)(receiver, containers);
    else assert.equal(receiver.spans.length, 0, describe(receiver));
  } catch (error) {
    const said = logs.map((line) => JSON.stringify(line)).join('\n');
    const places = containers.map(({ processFolder }) => readFileSync(`${processFolder}/cgroup`, 'latin1'));
    throw new Error(`${(error as Error).message}\n${places.join('\n')}\nfdspan said:\n${said}`, {
      cause: error,
    });
  }
  assert.equal(counters.spans_accepted, receiver.spans.length);
  return containers;
}

/** Waits until the container has written its files. */
export async function untilDone({ processFolder, root }: CellContainer): Promise<void> {
  const deadline = performance.now() + DONE_TIMEOUT_MS;
  while (!existsSync(`${root ?? `${processFolder}/root`}/done`)) {
    if (!existsSync(processFolder)) throw new Error(`${processFolder} ended before its files were written`);
    if (performance.now() > deadline)
      throw new Error(`${processFolder} isn't done after ${DONE_TIMEOUT_MS} ms`);
    await delay(LOOK_MS);
  }
}

/** Every span is of the container that opened the file, and nothing else arrived. */
export function checkSpans(receiver: OtlpReceiver, containers: readonly CellContainer[]): void {
  for (const container of containers) {
    const own = receiver.spans.filter(({ resource }) => resource.attributes['container.id'] === container.id);
    assert.deepEqual(
      own.map(({ span }) => span.attributes['file.path']),
      Array.from({ length: OPENS }, (_, index) => `/tmp/${container.marker}-${index}`),
      `the files of ${container.id}, of ${describe(receiver)}`,
    );
    for (const { span, resource } of own) {
      assert.equal(span.attributes['fdspan.close.reason'], 'dup', 'the shell puts its output back by dup2');
      assert.equal(span.attributes['fdspan.phase'], 'container');
      checkResource(resource.attributes, container);
    }
  }
  const sum = containers.length * OPENS;
  assert.equal(receiver.spans.length, sum, `nothing of the host: ${describe(receiver)}`);
}

function describe(receiver: OtlpReceiver): string {
  const counts = new Map<string, number>();
  for (const { resource } of receiver.spans) {
    const key = JSON.stringify(resource.attributes);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].map(([key, count]) => `${count} × ${key}`).join('\n');
}

const LABEL = 'container.label.';

function checkResource(attributes: OtlpAttributes, container: CellContainer): void {
  const { labels } = container;
  const expected = { ...container.expected, ...container.group };
  const told = Object.fromEntries(Object.keys(expected).map((key) => [key, attributes[key]]));
  assert.deepEqual(told, expected);
  const toldLabels = Object.entries(attributes)
    .filter(([key]) => key.startsWith(LABEL))
    .map(([key, value]) => [key.slice(LABEL.length), value]);
  assert.deepEqual(Object.fromEntries(toldLabels), labels);
  for (const name of ['mnt', 'pid', 'uts', 'net', 'ipc', 'user', 'cgroup']) {
    const link = readlinkSync(`${container.processFolder}/ns/${name}`);
    const [, inode] = /\[(\d+)\]$/.exec(link) ?? [];
    assert.equal(attributes[`fdspan.ns.${name}`], Number(inode), `the ${name} namespace`);
  }
}

/** The group of a process in the v1 hierarchy that fdspan looks at. */
export function cgroup1Of(text: string): GroupAttributes {
  const path = /^\d+:(?:[^:]*,)?pids(?:,[^:]*)?:(.*)$/m.exec(text)?.[1];
  assert.ok(path !== undefined, `a group of the pids hierarchy in ${text}`);
  return { 'fdspan.cgroup.version': 'v1', 'fdspan.cgroup.path': path };
}

/** The group of a process in the v2 hierarchy, from the text of its /proc/PID/cgroup. */
export function cgroup2Of(text: string): GroupAttributes {
  const path = /^0::(.*)$/m.exec(text)?.[1];
  assert.ok(path !== undefined, `a v2 group in ${text}`);
  return { 'fdspan.cgroup.version': 'v2', 'fdspan.cgroup.path': path };
}
