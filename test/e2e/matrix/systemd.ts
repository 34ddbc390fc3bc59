// Cells on a host with a booted systemd, hybrid or unified: the runtimes with their default places, fdspan as its unit.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { TestContext } from 'node:test';
import { makeBundle } from '../../helpers/bare-container.ts';
import { makeImageArchive, makeRootfs, whyNoPrograms } from '../../helpers/busybox-image.ts';
import { makeArchive } from '../../helpers/containerd.ts';
import { checkLaw, whyNoKernelTests } from '../../helpers/collector-process.ts';
import { installUnit } from '../../helpers/fdspan-unit.ts';
import { startSystemd, whyNoSystemd, type CgroupMode, type SystemdHost } from '../../helpers/systemd-host.ts';
import { cgroup2Of, METADATA_WAIT, script, type Cell, type CellContainer, type StartedCell } from './cell.ts';
import { imageAttributes, labelArguments, labelsOf, twoNames } from './names.ts';

export type GroupDriver = 'cgroupfs' | 'systemd';

/** Where the cells keep what they bring along, as the host sees it. */
const FOLDER = '/srv/fdspan';
const IMAGE = 'localhost/fdspan-busybox:1';
/** Reason: a daemon is ready in 2 s; other tests may share the machine's 2 cores. */
const READY_TIMEOUT_MS = 60_000;

/** What systemd doesn't make in v1, crun doesn't make either: the controllers' groups, and the v2 one, are shared. */
const SHARED_GROUPS =
  'all containers are in one group, /container, in v2 and in every v1 hierarchy but name=systemd';

/** A booted host for one cell. */
export class CellHost {
  readonly #host: SystemdHost;
  /** The host's root, as this machine sees it. */
  readonly root: string;

  constructor(host: SystemdHost) {
    this.#host = host;
    this.root = `/proc/${host.pid}/root`;
  }

  /** Runs a command to its end and returns what it printed, trimmed. Throws with its own words. */
  async run(...argv: readonly string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await this.#host.run(argv);
    if (exitCode !== 0)
      throw new Error(`${argv.slice(0, 3).join(' ')}: exit ${exitCode}: ${stderr.trim().slice(-2000)}`);
    return stdout.trim();
  }

  /**
   * Runs a command that starts a container and leaves it behind: as a service, because what comes from outside is in
   * groups that the host doesn't see. The log is for the container, which would keep a pipe of ours open.
   */
  async runDetaching(logPath: string, ...argv: readonly string[]): Promise<void> {
    const line = `"$@" </dev/null >${logPath} 2>&1 || { cat ${logPath} >&2; exit 1; }`;
    const service = ['--quiet', '--pipe', '--wait', '--collect', '--property=KillMode=process'];
    await this.run('systemd-run', ...service, 'sh', '-c', line, 'sh', ...argv);
  }

  /** Starts a daemon as a service, and waits until a command says that it is ready. */
  async startService(
    name: string,
    argv: readonly string[],
    isReady: readonly string[],
    ...properties: readonly string[]
  ): Promise<void> {
    await this.run(
      'systemd-run',
      '--quiet',
      `--unit=${name}`,
      '--property=Delegate=yes',
      ...properties,
      ...argv,
    );
    const deadline = performance.now() + READY_TIMEOUT_MS;
    while ((await this.#host.run(isReady)).exitCode !== 0) {
      const state = (await this.#host.run(['systemctl', 'is-active', name])).stdout.trim();
      if (state === 'failed' || performance.now() > deadline) {
        const { stdout } = await this.#host.run([
          'journalctl',
          '--unit',
          name,
          '--output',
          'cat',
          '--no-pager',
        ]);
        throw new Error(`${name} doesn't start: ${stdout.slice(-2000)}`);
      }
      await delay(100);
    }
  }

  /** What boots the host leaves it the hierarchies read-only but for systemd's own. */
  async makeGroupsWritable(): Promise<void> {
    const mounts = await this.run(
      'findmnt',
      '--list',
      '--noheadings',
      '--output',
      'TARGET',
      '--types',
      'cgroup,cgroup2',
    );
    for (const target of mounts.split('\n')) await this.run('mount', '-o', 'remount,bind,rw', target);
  }

  /** A file system that an overlay may write to: the root is an overlay itself. */
  async mountEmpty(path: string): Promise<void> {
    await this.run('mkdir', '-p', path);
    await this.run('mount', '-t', 'tmpfs', 'tmpfs', path);
  }

  /** Makes a folder for the cell; returns its path on this machine. */
  async folder(name: string): Promise<string> {
    const path = `${this.root}${FOLDER}/${name}`;
    await mkdir(path, { recursive: true });
    return path;
  }

  /** Where a process of the host is. */
  async placeOf(pid: string): Promise<Pick<CellContainer, 'processFolder' | 'group'>> {
    assert.match(pid, /^[1-9]\d*$/);
    // As the host sees it: this machine has more above.
    const group = cgroup2Of(await this.run('cat', `/proc/${pid}/cgroup`));
    // Under systemd crun makes a group for the processes below the container's.
    const path = group['fdspan.cgroup.path'].replace(/\.scope\/container$/, '.scope');
    return {
      processFolder: `${this.root}/proc/${pid}`,
      group: { ...group, 'fdspan.cgroup.path': path },
    };
  }

  /** Runs fdspan as its unit. */
  readonly startCollector: StartedCell['startCollector'] = async (_t, settings) => {
    const config = {
      export: { endpoint: settings.endpoint },
      containers: {
        allow: settings.allow,
        labels: ['*'],
        runtimes: settings.runtimes,
      },
      // A container's output may be a file that its runtime opened before.
      scope: { adopt_open: false },
      telemetry: { metrics: { otlp: false, containers: false } },
      limits: { metadata_wait: METADATA_WAIT },
    };
    const unit = await installUnit(this.#host, { config: JSON.stringify(config) });
    const { exitCode, stderr } = await unit.control('start');
    assert.equal(exitCode, 0, `${stderr}\n${(await unit.journal()).join('\n')}`);
    return {
      stop: async () => {
        assert.equal((await unit.control('stop')).exitCode, 0);
        const counters = await unit.summary();
        checkLaw(counters);
        return { counters, logs: await unit.logs() };
      },
    };
  };
}

type StartContainers = (host: CellHost) => Promise<CellContainer[]>;

interface Part {
  readonly refusal?: RegExp;
  readonly limit?: string;
  readonly runtime: string;
  readonly groups: GroupDriver;
  readonly commands: readonly string[];
  readonly start: StartContainers;
}

function cellOf(mode: CgroupMode, part: Part): Cell {
  return {
    runtime: part.runtime,
    groups: part.groups,
    host: `systemd, ${mode}`,
    isQuick: false,
    ...(part.refusal === undefined ? {} : { refusal: part.refusal }),
    ...(part.limit === undefined || mode === 'unified' ? {} : { limit: part.limit }),
    whyNot: () => whyNoKernelTests() ?? whyNoSystemd(mode) ?? whyNoPrograms(...part.commands),
    start: async (t: TestContext) => {
      const systemd = await startSystemd({ mode });
      t.after(() => systemd.stop());
      const host = new CellHost(systemd);
      await host.makeGroupsWritable();
      const containers = await part.start(host);
      return { containers, runtimes: 'auto', startCollector: host.startCollector };
    },
  };
}

function docker(groups: GroupDriver): Part {
  return {
    runtime: 'docker',
    groups,
    commands: ['dockerd', 'docker'],
    start: async (host) => {
      await host.mountEmpty('/var/lib/docker');
      const argv = ['dockerd', '--exec-opt', `native.cgroupdriver=${groups}`, '--storage-driver=overlay2'];
      argv.push('--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-forward=false');
      await host.startService('fdspan-dockerd', argv, ['docker', 'version']);
      await makeImageArchive(await host.folder('image'));
      await host.run('docker', 'import', `${FOLDER}/image/image.tar`, IMAGE);
      const version = await host.run('docker', 'version', '--format', '{{.Server.Version}}');
      const containers: CellContainer[] = [];
      for (const name of twoNames()) {
        const labels = labelsOf(name);
        const options = ['--detach', '--name', name, '--network', 'none', ...labelArguments(labels)];
        const id = await host.run('docker', 'run', ...options, IMAGE, '/bin/sh', '-c', script(name));
        const place = await host.placeOf(
          await host.run('docker', 'inspect', '--format', '{{.State.Pid}}', id),
        );
        const expected = {
          'service.name': name,
          'container.name': name,
          ...imageAttributes(IMAGE),
          'container.runtime.name': 'docker',
          'container.runtime.version': version,
          'fdspan.oci.runtime': 'runc',
        };
        containers.push({ marker: name, id, ...place, expected, labels });
      }
      return containers;
    },
  };
}

/** It loads a BPF program for devices, and wants a memory lock limit for it that not every machine lets it have. */
const CRUN_REFUSAL = { refusal: /crun: setrlimit \(RLIM_MEMLOCK\): Operation not permitted/ };

/** crun takes a hybrid host for an unsupported one as soon as it sees this file. */
async function hideControllers(host: CellHost): Promise<void> {
  const file = '/sys/fs/cgroup/unified/cgroup.controllers';
  if (existsSync(`${host.root}${file}`)) await host.run('mount', '--bind', '/dev/null', file);
}

function podman(runtime: 'runc' | 'crun', groups: GroupDriver): Part {
  return {
    runtime: `podman, ${runtime}`,
    groups,
    commands: ['podman', runtime],
    ...(runtime === 'crun' ? CRUN_REFUSAL : {}),
    ...(runtime === 'crun' && groups === 'systemd' ? { limit: SHARED_GROUPS } : {}),
    start: async (host) => {
      if (runtime === 'crun') await hideControllers(host);
      await host.mountEmpty('/var/lib/containers');
      const conf = `[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
default_sysctls = []
[engine]
cgroup_manager = "${groups}"
events_logger = "file"
runtime = "${runtime}"
`;
      await mkdir(`${host.root}/etc/containers`, { recursive: true });
      await writeFile(`${host.root}/etc/containers/containers.conf`, conf);
      const socket = '/run/podman/podman.sock';
      await host.run('mkdir', '-p', '/run/podman');
      const argv = ['podman', 'system', 'service', '--time', '0', `unix://${socket}`];
      await host.startService('fdspan-podman', argv, ['test', '-S', socket]);
      await makeImageArchive(await host.folder('image'));
      await host.run('podman', 'import', '--quiet', `${FOLDER}/image/image.tar`, IMAGE);
      const version = await host.run('podman', 'version', '--format', '{{.Client.Version}}');
      const containers: CellContainer[] = [];
      for (const name of twoNames()) {
        const labels = labelsOf(name);
        const options = [
          '--name',
          name,
          '--network',
          'none',
          '--pids-limit',
          '-1',
          ...labelArguments(labels),
        ];
        const id = await host.run('podman', 'create', ...options, IMAGE, '/bin/sh', '-c', script(name));
        await host.runDetaching(`${FOLDER}/${name}.log`, 'podman', 'start', id);
        // A service that has just begun takes longer for its first answer than fdspan waits.
        await host.run('podman', '--url', `unix://${socket}`, 'inspect', id);
        const place = await host.placeOf(
          await host.run('podman', 'inspect', '--format', '{{.State.Pid}}', id),
        );
        const expected = {
          'service.name': name,
          'container.name': name,
          ...imageAttributes(IMAGE),
          'container.runtime.name': 'podman',
          'container.runtime.version': version,
          'fdspan.oci.runtime': runtime,
        };
        containers.push({ marker: name, id, ...place, expected, labels });
      }
      return containers;
    },
  };
}

/** As for CRUN_REFUSAL; alone, crun can be told to leave devices alone. */
async function dropDeviceRules(configPath: string): Promise<void> {
  const config = JSON.parse(await readFile(configPath, 'utf8'));
  delete config.linux.resources.devices;
  await writeFile(configPath, JSON.stringify(config));
}

function bare(runtime: 'runc' | 'crun', groups: GroupDriver): Part {
  return {
    runtime: `${runtime} alone`,
    groups,
    commands: [runtime],
    ...(runtime === 'crun' && groups === 'systemd' ? { limit: SHARED_GROUPS } : {}),
    start: async (host) => {
      if (runtime === 'crun') await hideControllers(host);
      const containers: CellContainer[] = [];
      for (const id of twoNames()) {
        const labels = labelsOf(id);
        const options = { runtime, id, script: script(id), annotations: labels };
        // Empty: the runtime's own choice, as for whoever gives none. crun's is no group of the container's own then.
        const path = runtime === 'crun' && groups === 'cgroupfs' ? `/${id}` : '';
        const folder = await host.folder(id);
        await makeBundle(folder, options, path);
        if (runtime === 'crun') await dropDeviceRules(`${folder}/config.json`);
        const bundle = `${FOLDER}/${id}`;
        const driver = groups === 'systemd' ? ['--systemd-cgroup'] : [];
        const command = [
          runtime,
          ...driver,
          'run',
          '--detach',
          '--bundle',
          bundle,
          '--pid-file',
          `${bundle}/pid`,
          id,
        ];
        await host.runDetaching(`${bundle}/log`, ...command);
        const place = await host.placeOf(await host.run('cat', `${bundle}/pid`));
        const expected = {
          'service.name': id,
          'container.name': id,
          'container.image.name': undefined,
          'container.runtime.name': runtime,
          'container.runtime.version': undefined,
          'fdspan.oci.runtime': runtime,
        };
        containers.push({ marker: id, id, ...place, expected, labels });
      }
      return containers;
    },
  };
}

/** What a runtime tells that has names only. */
function nameOnly(name: string, runtime: string): CellContainer['expected'] {
  return {
    'service.name': name,
    'container.name': name,
    'container.image.name': undefined,
    'container.runtime.name': runtime,
    'fdspan.oci.runtime': undefined,
  };
}

const lxc: Part = {
  runtime: 'lxc',
  groups: 'cgroupfs',
  commands: ['lxc-start'],
  start: async (host) => {
    const containers: CellContainer[] = [];
    await host.run('mkdir', '-p', '/var/lib/lxc');
    for (const name of twoNames()) {
      const folder = await host.folder(name);
      await makeRootfs(`${folder}/rootfs`);
      for (const target of ['proc', 'sys', 'dev']) await mkdir(`${folder}/rootfs/${target}`);
      await mkdir(`${host.root}/var/lib/lxc/${name}`);
      const config = `lxc.rootfs.path = dir:${FOLDER}/${name}/rootfs\nlxc.net.0.type = empty\n`;
      await writeFile(`${host.root}/var/lib/lxc/${name}/config`, config);
      const command = ['lxc-start', '-n', name, '-o', `${FOLDER}/${name}/lxc.log`, '-l', 'INFO', '--'];
      command.push('/bin/sh', '-c', script(name));
      await host.runDetaching(`${FOLDER}/${name}/log`, ...command);
      const place = await host.placeOf(await host.run('lxc-info', '-n', name, '-pH'));
      containers.push({ marker: name, id: name, ...place, expected: nameOnly(name, 'lxc'), labels: {} });
    }
    return containers;
  },
};

/** Under systemd the id is one as nerdctl makes it, and so is the group. */
function containerd(groups: GroupDriver): Part {
  return {
    runtime: groups === 'systemd' ? 'containerd by ctr, as nerdctl does' : 'containerd by ctr, runc',
    groups,
    commands: ['containerd', 'ctr', 'runc'],
    start: async (host) => {
      await host.mountEmpty('/var/lib/containerd');
      const isReady = ['ctr', 'version'];
      await host.startService('fdspan-containerd', ['containerd'], isReady);
      const version = (await host.run('containerd', '--version')).split(' ')[2];
      const names = twoNames();
      const namespace = `${names[0]}-space`;
      await makeArchive(await host.folder('image'), IMAGE);
      await host.run('ctr', '--namespace', namespace, 'images', 'import', `${FOLDER}/image/images.tar`);
      const containers: CellContainer[] = [];
      for (const name of names) {
        const id = groups === 'systemd' ? randomBytes(32).toString('hex') : name;
        const labels = labelsOf(name);
        const driver =
          groups === 'systemd' ? ['--runc-systemd-cgroup', '--cgroup', `system.slice:nerdctl:${id}`] : [];
        const args = ['--namespace', namespace, 'run', '--detach', '--null-io', ...driver];
        // Shares of the processor need a controller that a unified host may not have.
        args.push('--cpu-shares', '0');
        args.push(...labelArguments(labels), IMAGE, id, '/bin/sh', '-c', script(name));
        await host.run('ctr', ...args);
        const tasks = await host.run('ctr', '--namespace', namespace, 'tasks', 'ls');
        const info = await host.run('ctr', '--namespace', namespace, 'containers', 'info', id);
        const place = await host.placeOf(new RegExp(`^${id}\\s+(\\d+)`, 'm').exec(tasks)?.[1] ?? '');
        const expected = {
          'container.name': undefined,
          ...imageAttributes(IMAGE),
          'container.runtime.name': 'containerd',
          'container.runtime.version': version,
          'fdspan.oci.runtime': 'runc',
        };
        containers.push({ marker: name, id, ...place, expected, labels: JSON.parse(info).Labels });
      }
      return containers;
    },
  };
}

const nspawn: Part = {
  runtime: 'systemd-nspawn, registered',
  groups: 'systemd',
  commands: ['systemd-nspawn', 'dbus-daemon'],
  start: async (host) => {
    const containers: CellContainer[] = [];
    for (const name of twoNames()) {
      const folder = await host.folder(name);
      await makeRootfs(`${folder}/rootfs`);
      await mkdir(`${folder}/rootfs/usr`);
      await writeFile(`${folder}/rootfs/etc/os-release`, 'ID=fdspan\n');
      const argv = ['systemd-nspawn', '--register=yes', '--private-network', '--kill-signal=SIGKILL'];
      argv.push('-M', name, '-D', `${FOLDER}/${name}/rootfs`, '/bin/sh', '-c', script(name));
      const inPayload = `grep -q /payload$ /proc/$(machinectl show ${name} --property Leader --value)/cgroup`;
      await host.startService(`fdspan-${name}`, argv, ['sh', '-c', inPayload]);
      const pid = await host.run('machinectl', 'show', name, '--property', 'Leader', '--value');
      const { processFolder, group } = await host.placeOf(pid);
      // The payload's group lies in the machine's.
      const path = group['fdspan.cgroup.path'].replace(/\/payload$/, '');
      containers.push({
        marker: name,
        id: name,
        processFolder,
        group: { ...group, 'fdspan.cgroup.path': path },
        expected: nameOnly(name, 'systemd-nspawn'),
        labels: {},
      });
    }
    return containers;
  },
};

export const SYSTEMD_CELLS: readonly Cell[] = (['hybrid', 'unified'] as const).flatMap((mode) =>
  [
    ...(['cgroupfs', 'systemd'] as const).flatMap((groups) => [
      docker(groups),
      podman('runc', groups),
      podman('crun', groups),
      bare('runc', groups),
      bare('crun', groups),
      containerd(groups),
    ]),
    lxc,
    nspawn,
  ].map((part) => cellOf(mode, part)),
);
