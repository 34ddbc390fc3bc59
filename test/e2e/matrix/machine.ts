// Cells on this machine itself: the runtimes' own daemons and state, and the machine's own control groups.
import { dirname } from 'node:path';
import { readFile } from 'node:fs/promises';
import type { TestContext } from 'node:test';
import { startBareContainer } from '../../helpers/bare-container.ts';
import { whyNoPrograms } from '../../helpers/busybox-image.ts';
import { startCollector, whyNoKernelTests } from '../../helpers/collector-process.ts';
import { IMAGE_NAME, whyNoContainers, type OciRuntime } from '../../helpers/container.ts';
import { CONTAINERD_IMAGE, startContainerd, whyNoContainerd } from '../../helpers/containerd.ts';
import { DOCKER_IMAGE, startDocker, whyNoDocker } from '../../helpers/docker.ts';
import { startLxc } from '../../helpers/lxc.ts';
import { startNspawn, type NspawnMachine } from '../../helpers/nspawn.ts';
import { wrapperFor, type GroupsOfHost } from '../../helpers/oci-runtime.ts';
import { startPodmanService } from '../../helpers/podman-service.ts';
import {
  cgroup1Of,
  cgroup2Of,
  METADATA_WAIT,
  script,
  scriptAtOnce,
  type Cell,
  type CellCollector,
  type CellContainer,
  type CellSettings,
  type StartedCell,
} from './cell.ts';
import { imageAttributes, labelArguments, labelsOf, onlyAsk, twoNames } from './names.ts';

const HOST = { machine: 'this machine', v1: 'this machine, v1 alone' } as const satisfies Record<
  GroupsOfHost,
  string
>;

const here = { host: HOST.machine, isQuick: true };

/** Where a cell's containers and fdspan run. */
function on(groups: GroupsOfHost): Pick<Cell, 'host' | 'isQuick'> {
  return { host: HOST[groups], isQuick: groups === 'machine' };
}

/** Runs fdspan on this machine, or behind a command that changes its surroundings. */
export function runHere(...prefix: readonly string[]): StartedCell['startCollector'] {
  return async (t: TestContext, settings: CellSettings): Promise<CellCollector> => {
    const { endpoint, allow, runtimes } = settings;
    const set = {
      'containers.allow': JSON.stringify(allow),
      'containers.runtimes': runtimes === 'auto' ? runtimes : JSON.stringify(runtimes),
      'containers.labels': '["*"]',
      // A container's output may be a file that its runtime opened before.
      'scope.adopt_open': 'false',
      'limits.metadata_wait': METADATA_WAIT,
      ...settings.set,
    };
    const collector = await startCollector({ endpoint, containerIds: [], set, prefix });
    t.after(() => collector.kill());
    return collector;
  };
}

/** Runs fdspan where v2's control groups aren't mounted either. */
function runOn(groups: GroupsOfHost): StartedCell['startCollector'] {
  return groups === 'v1' ? runHere(...wrapperFor(null, groups)) : runHere();
}

/** Where a process is, by /proc. */
export async function placeOf(
  pid: number,
  groups: GroupsOfHost = 'machine',
): Promise<Pick<CellContainer, 'processFolder' | 'group'>> {
  const text = await readFile(`/proc/${pid}/cgroup`, 'utf8');
  return { processFolder: `/proc/${pid}`, group: groups === 'v1' ? cgroup1Of(text) : cgroup2Of(text) };
}

function docker(isLate: boolean, groups: GroupsOfHost = 'machine'): Cell {
  return {
    ...on(groups),
    runtime: isLate ? 'docker, started while fdspan runs' : 'docker',
    groups: 'cgroupfs',
    whyNot: () => whyNoKernelTests() ?? whyNoDocker(),
    async start(t) {
      const daemon = await startDocker(groups);
      t.after(() => daemon.stop());
      const version = await daemon.docker('version', '--format', '{{.Server.Version}}');
      const names = twoNames();
      const startOne = async (name: string): Promise<CellContainer> => {
        const labels = labelsOf(name);
        const text = isLate ? scriptAtOnce(name) : script(name);
        const id = await daemon.create({ name, script: text, labels });
        const place = await placeOf(await daemon.start(id), groups);
        const expected = {
          'service.name': name,
          'container.name': name,
          ...imageAttributes(DOCKER_IMAGE),
          'container.runtime.name': 'docker',
          'container.runtime.version': version,
          'fdspan.oci.runtime': 'runc',
        };
        return { marker: name, id, ...place, expected, labels };
      };
      const startAll = (): Promise<CellContainer[]> => Promise.all(names.map(startOne));
      return {
        // By name: only docker knows which new container that is.
        ...(isLate ? { allow: names.map((name) => ({ name })) } : {}),
        containers: isLate ? startAll : await startAll(),
        runtimes: onlyAsk({ docker: daemon.socketPath }),
        startCollector: runOn(groups),
      };
    },
  };
}

function podman(runtime: OciRuntime, groups: GroupsOfHost = 'machine'): Cell {
  return {
    ...on(groups),
    runtime: `podman, ${runtime}`,
    groups: 'cgroupfs',
    whyNot: () => whyNoKernelTests() ?? whyNoContainers(runtime),
    async start(t) {
      const service = await startPodmanService(runtime, groups);
      t.after(() => service.stop());
      const version = (await service.podman(['version', '--format', '{{.Client.Version}}'])).trim();
      const containers: CellContainer[] = [];
      for (const name of twoNames()) {
        const labels = labelsOf(name);
        const id = await service.create(name, script(name), ...labelArguments(labels));
        await service.podman(['start', id]);
        const pid = Number(await service.podman(['inspect', '--format', '{{.State.Pid}}', id]));
        const expected = {
          'service.name': name,
          'container.name': name,
          ...imageAttributes(IMAGE_NAME),
          'container.runtime.name': 'podman',
          'container.runtime.version': version,
          'fdspan.oci.runtime': runtime,
        };
        containers.push({ marker: name, id, ...(await placeOf(pid, groups)), expected, labels });
      }
      return {
        containers,
        runtimes: onlyAsk({ podman: service.socketPath }),
        startCollector: runOn(groups),
      };
    },
  };
}

function containerd(runtime: OciRuntime): Cell {
  return {
    ...here,
    runtime: `containerd by ctr, ${runtime}`,
    groups: 'cgroupfs',
    whyNot: () => whyNoKernelTests() ?? whyNoContainerd(runtime),
    async start(t) {
      const names = twoNames();
      const namespace = `${names[0]}-space`;
      const daemon = await startContainerd(namespace);
      t.after(() => daemon.stop());
      const containers: CellContainer[] = [];
      for (const id of names) {
        const started = await daemon.startContainer({
          namespace,
          id,
          ociRuntime: runtime,
          script: script(id),
          labels: labelsOf(id),
        });
        const info = JSON.parse(await daemon.ctr(namespace, 'containers', 'info', id));
        const expected = {
          'service.name': id,
          'container.name': undefined,
          ...imageAttributes(CONTAINERD_IMAGE),
          'container.runtime.name': 'containerd',
          'container.runtime.version': daemon.version,
          'fdspan.oci.runtime': runtime,
        };
        containers.push({
          marker: id,
          id,
          ...(await placeOf(started.pid)),
          expected,
          labels: info.Labels,
        });
      }
      return { containers, runtimes: onlyAsk({ containerd: daemon.socket }), startCollector: runHere() };
    },
  };
}

function bare(runtime: OciRuntime, groups: GroupsOfHost = 'machine'): Cell {
  return {
    ...on(groups),
    runtime: `${runtime} alone`,
    groups: 'cgroupfs',
    whyNot: () => whyNoKernelTests() ?? whyNoPrograms(runtime),
    async start(t) {
      const containers: CellContainer[] = [];
      for (const id of twoNames()) {
        const labels = {
          ...labelsOf(id),
          'org.opencontainers.image.ref.name': 'registry.example/shop/web:2.1',
        };
        const container = await startBareContainer({
          runtime,
          id,
          script: script(id),
          annotations: labels,
          stateFolder: `/run/${runtime}`,
          groups,
        });
        t.after(() => container.stop());
        const expected = {
          'service.name': id,
          'container.name': id,
          ...imageAttributes('registry.example/shop/web:2.1'),
          'container.runtime.name': runtime,
          'container.runtime.version': undefined,
          'fdspan.oci.runtime': runtime,
        };
        containers.push({ marker: id, id, ...(await placeOf(container.pid, groups)), expected, labels });
      }
      return { containers, runtimes: onlyAsk({ state: 'auto' }), startCollector: runOn(groups) };
    },
  };
}

/** What a runtime tells that has names only. */
function nameOnly(name: string, runtime: string): CellContainer['expected'] {
  return {
    'service.name': name,
    'container.name': name,
    'container.image.name': undefined,
    'container.image.tags': undefined,
    'container.runtime.name': runtime,
    'container.runtime.version': undefined,
    'fdspan.oci.runtime': undefined,
  };
}

const lxc: Cell = {
  ...here,
  runtime: 'lxc',
  groups: 'cgroupfs',
  whyNot: () => whyNoKernelTests() ?? whyNoPrograms('lxc-start'),
  async start(t) {
    const containers: CellContainer[] = [];
    for (const name of twoNames()) {
      const container = await startLxc({ name, script: script(name), root: '/var/lib/lxc' });
      t.after(() => container.stop());
      const place = await placeOf(container.pid);
      containers.push({ marker: name, id: name, ...place, expected: nameOnly(name, 'lxc'), labels: {} });
    }
    return { containers, runtimes: onlyAsk({ state: 'auto' }), startCollector: runHere() };
  },
};

const nspawn: Cell = {
  ...here,
  isQuick: false,
  runtime: 'systemd-nspawn, not registered',
  groups: 'a scope of its own',
  whyNot: () => whyNoKernelTests() ?? whyNoPrograms('systemd-nspawn', 'dbus-daemon'),
  async start(t) {
    const containers: CellContainer[] = [];
    let shared: NspawnMachine | undefined;
    for (const name of twoNames()) {
      const machine = await startNspawn({
        name,
        script: script(name),
        isRegistered: false,
        runFolder: shared?.runFolder,
      });
      t.after(() => machine.stop());
      shared ??= machine;
      const { processFolder, group } = await placeOf(machine.pid);
      // The payload's group lies in the machine's.
      const ownGroup = { ...group, 'fdspan.cgroup.path': dirname(group['fdspan.cgroup.path']) };
      const expected = nameOnly(name, 'systemd-nspawn');
      containers.push({ marker: name, id: name, processFolder, group: ownGroup, expected, labels: {} });
    }
    const enter = ['nsenter', '--target', String(shared?.managerPid), '--mount', '--'];
    return { containers, runtimes: onlyAsk({ state: 'auto' }), startCollector: runHere(...enter) };
  },
};

export const MACHINE_CELLS: readonly Cell[] = [
  docker(false),
  docker(true),
  podman('runc'),
  podman('crun'),
  containerd('runc'),
  containerd('crun'),
  bare('runc'),
  bare('crun'),
  lxc,
  nspawn,
  docker(false, 'v1'),
  docker(true, 'v1'),
  podman('runc', 'v1'),
  podman('crun', 'v1'),
  bare('runc', 'v1'),
  bare('crun', 'v1'),
];
