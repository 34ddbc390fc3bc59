// The containers that run here, by runtime: who makes their control groups, whether each has one of its own, and so
// what tells them apart. Seen from the groups of the host's processes; nothing is executed and no runtime is asked.
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { bareContainerOf } from '../containers/bare-containers.ts';
import { textOfBytes } from '../containers/byte-text.ts';
import { containerOfPath } from '../containers/cgroup-path.ts';
import { CONTAINERD_STATE_FOLDER, hasContainerdTask } from '../containers/containerd-tasks.ts';
import { readMemberships } from '../containers/proc-cgroup.ts';
import { groupOfText } from '../containers/process-group.ts';
import type { ScopeChoice } from '../containers/scope-choice.ts';
import { ok, warning, type Check, type DoctorHost } from './doctor-check.ts';

/** One runtime's containers, as `--json` shows them. */
export interface RuntimeContainers {
  readonly runtime: string;
  readonly containers: number;
  /** systemd: its scopes and services; cgroupfs: groups made by the runtime itself. */
  readonly drivers: readonly ('systemd' | 'cgroupfs')[];
  readonly cgroup_versions: readonly ('v2' | 'v1')[];
  /** How many have a v2 group of their own, share one with something else, or are in the root (id 1). */
  readonly v2_groups: { readonly own: number; readonly shared: number; readonly root: number };
  /** How many are told apart by what would be used. */
  readonly told_apart: number;
  readonly told_apart_by: readonly string[];
}

export interface ContainerSurvey {
  readonly runtimes: readonly RuntimeContainers[];
  /** gVisor's sandboxes. */
  readonly sandboxes: number;
  /** Processes that weren't looked at. */
  readonly leftOut: number;
}

/** Reason: some 20 µs each; a host with more has a question of its own. */
const PROCESSES_MAX = 65_536;
/** Reason: files are read on four threads; more at once only wait in memory. */
const READS_AT_ONCE = 64;

interface Seen {
  readonly id: string;
  readonly runtime: string;
  readonly driver: 'systemd' | 'cgroupfs';
  readonly version: 'v2' | 'v1';
  readonly v2: 'own' | 'shared' | 'root' | null;
  /** v1 controllers whose hierarchy names it. */
  readonly controllers: readonly string[];
}

/** Looks at every process of the host. What can't be read is left out. */
export async function surveyContainers(host: DoctorHost, choice: ScopeChoice): Promise<ContainerSurvey> {
  const names = (await readdir(`${host.root}/proc`).catch(() => [])).filter((name) => /^[0-9]+$/.test(name));
  const pids = names.slice(0, PROCESSES_MAX);
  const seen = new Map<string, Seen>();
  let sandboxes = 0;
  for (let at = 0; at < pids.length; at += READS_AT_ONCE) {
    const batch = pids.slice(at, at + READS_AT_ONCE).map((pid) => lookAt(host, pid));
    for (const { container, isSandbox } of await Promise.all(batch)) {
      if (isSandbox) sandboxes += 1;
      if (container !== null) seen.set(`${container.runtime}\n${container.id}`, container);
    }
  }
  const byRuntime = Map.groupBy(seen.values(), ({ runtime }) => runtime);
  const runtimes = [...byRuntime].map(([runtime, containers]) => summarize(runtime, containers, choice));
  return { runtimes, sandboxes, leftOut: names.length - pids.length };
}

async function lookAt(
  host: DoctorHost,
  pid: string,
): Promise<{ readonly container: Seen | null; readonly isSandbox: boolean }> {
  try {
    const text = await readFile(`${host.root}/proc/${pid}/cgroup`, 'latin1');
    // gVisor names its sandbox by its arguments: the program is the same for all that it starts.
    const command = await readFile(`${host.root}/proc/${pid}/cmdline`, 'latin1');
    return { container: containerOfText(host, text), isSandbox: command.startsWith('runsc-sandbox') };
  } catch {
    return { container: null, isSandbox: false };
  }
}

function containerOfText(host: DoctorHost, text: string): Seen | null {
  const bare = (path: string) => bareContainerOf(path, (place) => existsSync(host.root + place));
  const { container, path, version } = groupOfText(text, {
    confirmGuess: (namespace, id) => hasContainerdTask(namespace, id, host.root + CONTAINERD_STATE_FOLDER),
    bareContainerOf: bare,
    // A runtime's state folder is enough here: nothing is traced by it.
    findMetadata: () => Promise.resolve(null),
  });
  if (container === null) return null;
  const memberships = readMemberships(text);
  const isNamed = (group: string): boolean =>
    (containerOfPath(group) ?? bare(group))?.containerId === container.containerId;
  const v2Path = memberships.find(({ kind }) => kind === 'cgroup2')?.path ?? null;
  const v2 = v2Path === null ? null : isNamed(v2Path) ? 'own' : v2Path === '/' ? 'root' : 'shared';
  return {
    id: container.containerId,
    runtime: container.runtime,
    driver: path.split('/').some((segment) => /\.(slice|scope|service)$/.test(segment))
      ? 'systemd'
      : 'cgroupfs',
    version,
    v2,
    controllers: memberships
      .filter(({ kind, path: group }) => kind === 'cgroup1' && isNamed(group))
      .flatMap(({ controllers }) => controllers),
  };
}

/** What tells a container apart; null when nothing of the choice does. */
function toldApartBy({ v2, controllers }: Seen, choice: ScopeChoice): string | null {
  if (choice.by !== 'cgroup') return choice.by;
  if (choice.byCgroup2 && v2 === 'own') return 'v2';
  const controller = choice.cgroup1Controller;
  return controller !== null && controllers.includes(controller) ? `v1 ${controller}` : null;
}

function summarize(runtime: string, containers: readonly Seen[], choice: ScopeChoice): RuntimeContainers {
  const count = (kind: Seen['v2']): number => containers.filter(({ v2 }) => v2 === kind).length;
  const by = containers.map((container) => toldApartBy(container, choice)).filter((it) => it !== null);
  return {
    runtime,
    containers: containers.length,
    drivers: [...new Set(containers.map(({ driver }) => driver))],
    cgroup_versions: [...new Set(containers.map(({ version }) => version))],
    v2_groups: { own: count('own'), shared: count('shared'), root: count('root') },
    told_apart: by.length,
    told_apart_by: [...new Set(by)],
  };
}

const NAMESPACE_CURE = 'Set scope.by to mntns: their namespaces are their own.';

/** One line for each runtime that has containers, and what gVisor hides. */
export function containerChecks({ runtimes, sandboxes, leftOut }: ContainerSurvey): Check[] {
  const checks = runtimes.map(checkRuntime);
  if (checks.length === 0)
    checks.push(ok('containers', 'none runs now: what tells them apart is not seen yet'));
  if (sandboxes > 0) {
    checks.push(
      warning(
        'gVisor',
        `${counted(sandboxes, 'sandbox', 'es')}: files are opened by its own kernel; the host sees only what its gofer and sandbox open there, once for many opens inside`,
        'Set containers.runtime_phase to true to see that: gVisor’s processes never execute a program of the container.',
      ),
    );
  }
  if (leftOut > 0) {
    checks.push(warning('processes', `${leftOut} were not looked at`, 'The counts above are lower bounds.'));
  }
  return checks;
}

function checkRuntime(of: RuntimeContainers): Check {
  const { own, shared, root } = of.v2_groups;
  const groups = [
    [own, 'of their own'],
    [shared, 'shared'],
    [root, 'the root (id 1)'],
  ] as const;
  const v2 = groups.filter(([count]) => count > 0).map(([count, words]) => `${count} ${words}`);
  const parts = [
    counted(of.containers, 'container', 's'),
    `cgroup driver ${of.drivers.join(' and ')}`,
    `named by ${of.cgroup_versions.join(' and ')}`,
    `v2 groups: ${v2.length === 0 ? 'none' : v2.join(', ')}`,
    of.told_apart === 0
      ? 'not told apart'
      : `${of.told_apart} told apart by ${of.told_apart_by.join(' or ')}`,
  ];
  const name = textOfBytes(of.runtime);
  const detail = parts.join('; ');
  return of.told_apart === of.containers ? ok(name, detail) : warning(name, detail, NAMESPACE_CURE);
}

function counted(count: number, word: string, plural: string): string {
  return `${count} ${word}${count === 1 ? '' : plural}`;
}
