// A host with a booted systemd for one cell, and what each runtime's cells say of themselves.
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { TestContext } from 'node:test';
import { whyNoPrograms } from '../../../helpers/busybox-image.ts';
import { checkLaw, whyNoKernelTests } from '../../../helpers/collector-process.ts';
import { installUnit } from '../../../helpers/fdspan-unit.ts';
import {
  CHECKOUT_INSIDE,
  startSystemd,
  whyNoSystemd,
  type CgroupMode,
  type SystemdHost,
} from '../../../helpers/systemd-host.ts';
import { cgroup2Of, METADATA_WAIT, type Cell, type CellContainer, type StartedCell } from '../cell.ts';
import { runHere } from '../machine.ts';

export type GroupDriver = 'cgroupfs' | 'systemd';

/** Where the cells keep what they bring along, as the host sees it. */
export const FOLDER = '/srv/fdspan';
export const IMAGE = 'localhost/fdspan-busybox:1';
/** Reason: a daemon is ready in 2 s; other tests may share the machine's 2 cores. */
const READY_TIMEOUT_MS = 60_000;

export interface DoctorLine {
  readonly name: string;
  readonly status: string;
  readonly detail: string;
  readonly cure?: string;
}

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

  /** What `fdspan doctor` says here, with the configuration that fdspan has by itself. */
  async doctor(): Promise<readonly DoctorLine[]> {
    const { stdout, stderr } = await this.#host.run([`${CHECKOUT_INSIDE}/bin/fdspan`, 'doctor', '--json']);
    assert.ok(stdout.startsWith('{'), stderr);
    return JSON.parse(stdout).checks;
  }

  /**
   * A command that runs another on the host, but with this machine's process numbers: the kernel tells them of a
   * namespace's processes, and on a host that is no container they are the host's own.
   */
  get enterWithAllProcesses(): readonly string[] {
    const enter = [
      'nsenter',
      '--target',
      String(this.#host.pid),
      '--mount',
      '--uts',
      '--ipc',
      '--net',
      '--cgroup',
    ];
    const mount = 'mount -t proc proc /proc && exec "$@"';
    return [...enter, '--', 'unshare', '--mount', 'sh', '-c', mount, 'sh'];
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

export interface Part {
  readonly refusal?: RegExp;
  readonly limit?: string;
  readonly runtime: string;
  readonly groups: GroupDriver;
  readonly commands: readonly string[];
  readonly start: StartContainers;
  /** On a hybrid host only; by default what fdspan chooses. */
  readonly scopeBy?: 'mntns';
}

export function cellOf(mode: CgroupMode, part: Part): Cell {
  return {
    runtime: part.scopeBy === undefined ? part.runtime : `${part.runtime}, scope.by ${part.scopeBy}`,
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
      if (part.limit !== undefined && mode === 'hybrid') await checkAdvice(host, containers.length);
      if (part.scopeBy === undefined)
        return { containers, runtimes: 'auto', startCollector: host.startCollector };
      return {
        containers: await Promise.all(containers.map(inNamedHierarchy)),
        runtimes: 'auto',
        startCollector: runHere(...host.enterWithAllProcesses),
        set: { 'scope.by': part.scopeBy, 'control.socket': '/run/fdspan-cell.sock' },
      };
    },
  };
}

/** What isn't traced because of shared groups must be said, with what helps. */
async function checkAdvice(host: CellHost, containers: number): Promise<void> {
  const lines = await host.doctor();
  const warned = lines.filter(({ detail }) => detail.includes(`${containers} containers; `));
  const said = JSON.stringify(lines, null, 1);
  assert.equal(warned.length, 1, said);
  const [{ status, detail, cure }] = warned;
  assert.equal(status, 'warning', said);
  assert.match(detail, /not told apart/);
  assert.equal(cure, 'Set scope.by to mntns: their namespaces are their own.');
}

/** The group that tells the container from others: systemd's own hierarchy is the only one that has it. */
async function inNamedHierarchy(container: CellContainer): Promise<CellContainer> {
  const text = await readFile(`${container.processFolder}/cgroup`, 'latin1');
  const path = /:name=systemd:.*\/payload(\/.*\.scope)/.exec(text)?.[1];
  assert.ok(path !== undefined, text);
  return { ...container, group: { 'fdspan.cgroup.version': 'v1', 'fdspan.cgroup.path': path } };
}
