// Runs fdspan as the DaemonSet's pod runs, by an OCI runtime alone: the securityContext, mounts, environment and namespaces of
// deploy/kubernetes/daemonset.yaml, the profile of deploy/seccomp, and the files that deploy/container/Dockerfile copies. What
// differs: the files of Debian are the host's, the network is the host's, and folders that the pod writes are the test's own.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { wrapperFor, type OciRuntime } from './oci-runtime.ts';
import { runCommand } from './runtime-commands.ts';
import { removeGroups } from './runtime-remains.ts';

const root = join(import.meta.dirname, '../..');

interface VolumeMount {
  readonly name: string;
  readonly mountPath: string;
  readonly readOnly?: boolean;
}

interface Volume {
  readonly name: string;
  readonly hostPath?: { readonly path: string; readonly type: string };
  readonly configMap?: { readonly name: string };
}

export interface PodContainer {
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value?: string }[];
  readonly securityContext: {
    readonly runAsUser: number;
    readonly allowPrivilegeEscalation: boolean;
    readonly readOnlyRootFilesystem: boolean;
    readonly seccompProfile: { readonly type: string; readonly localhostProfile?: string };
    readonly capabilities: { readonly drop: readonly string[]; readonly add: readonly string[] };
  };
  readonly resources: Readonly<Record<'requests' | 'limits', { readonly memory: string }>>;
  readonly volumeMounts: readonly VolumeMount[];
  readonly [key: string]: unknown;
}

export interface PodSpec {
  readonly hostPID?: boolean;
  readonly hostNetwork?: boolean;
  readonly containers: readonly [PodContainer];
  readonly volumes: readonly Volume[];
  readonly terminationGracePeriodSeconds: number;
  readonly [key: string]: unknown;
}

interface Manifest {
  readonly kind: string;
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: { readonly template: { readonly spec: PodSpec } };
  readonly [key: string]: unknown;
}

/** The documents of deploy/kubernetes/daemonset.yaml; throws where YAML isn't well formed. */
export function readManifests(): Manifest[] {
  const text = readFileSync(join(root, 'deploy/kubernetes/daemonset.yaml'), 'utf8');
  return parseAllDocuments(text, { uniqueKeys: true }).map((document) => {
    assert.deepEqual([...document.errors, ...document.warnings], []);
    return document.toJS() as Manifest;
  });
}

export function podSpecOf(manifests: readonly Manifest[]): PodSpec {
  const spec = manifests.find(({ kind }) => kind === 'DaemonSet')?.spec?.template.spec;
  assert.ok(spec !== undefined, 'there is a DaemonSet');
  return spec;
}

export interface CopyStep {
  readonly sources: readonly string[];
  readonly target: string;
  /** Copied out of the stage that builds. */
  readonly isBuilt: boolean;
}

/** The COPY lines of a Dockerfile's last stage. */
export function copiesOf(dockerfile: string): CopyStep[] {
  const last = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '));
  return [...last.matchAll(/^COPY (--from=build )?(.+) (\S+)$/gm)].map(([, from, sources, target]) => ({
    sources: sources.split(' ').map((path) => path.replace(/^\/build\//, '')),
    target,
    isBuilt: from !== undefined,
  }));
}

interface Mount {
  readonly destination: string;
  readonly type?: string;
  readonly source: string;
  readonly options: readonly string[];
}

function bind(source: string, destination: string, isReadOnly: boolean): Mount {
  return { destination, type: 'bind', source, options: ['rbind', isReadOnly ? 'ro' : 'rw', 'rprivate'] };
}

/** The host's programs and libraries take the place of the base image's. */
const DEBIAN = ['/usr', '/bin', '/sbin', '/lib', '/lib64'];
/** /usr is the host's, in which no folder can be made. */
const HOME = '/opt/fdspan';

function imageMounts(): Mount[] {
  const copies = copiesOf(readFileSync(join(root, 'deploy/container/Dockerfile'), 'utf8'));
  return copies
    .filter(({ target }) => target.startsWith('/usr/lib/fdspan'))
    .flatMap(({ sources, target }) =>
      sources.map((source) => {
        const place = target.endsWith('/') ? target + source.split('/').at(-1)! : target;
        return bind(join(root, source), place.replace('/usr/lib/fdspan', HOME), true);
      }),
    );
}

export interface Pod {
  /** For `startCollector`: gives the command that runs this command in the pod. */
  readonly wrap: (argv: readonly string[]) => readonly string[];
  /** What startCollector sets by paths of the host. */
  readonly set: Readonly<Record<string, string>>;
  /** The number of fdspan's process. */
  readonly pid: () => Promise<number>;
  readonly remove: () => Promise<void>;
}

export interface PodOptions {
  readonly runtime: OciRuntime;
  /** What the pod's command is changed by. */
  readonly securityContext?: Partial<PodContainer['securityContext']>;
}

/** Makes the pod's bundle; nothing runs before a command is wrapped. */
export function makePod({ runtime, securityContext }: PodOptions): Pod {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-pod-'));
  const id = `pod-${randomBytes(6).toString('hex')}`;
  const group = `/fdspan-test-${id}`;
  const [command, ...first] = [...wrapperFor(runtime), runtime, '--root', join(folder, 'state')];
  // The pod's mount needs a place in the host's /run, which kubelet would make.
  const madeRun = mkdirSync('/run/fdspan', { recursive: true }) !== undefined;
  const wrap = (argv: readonly string[]): readonly string[] => {
    const config = describeBundle(folder, argv, `${group}/${id}`, securityContext);
    writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
    return [command, ...first, 'run', '--bundle', folder, id];
  };
  return {
    wrap,
    set: {
      'control.socket': '/run/fdspan/control.sock',
      'control.state_file': '/run/fdspan/open-times.state',
      'telemetry.metrics.prometheus': 'null',
    },
    pid: async () => (JSON.parse(await runCommand(command, [...first, 'state', id])) as { pid: number }).pid,
    remove: async () => {
      await runCommand(command, [...first, 'delete', '--force', id]).catch(() => undefined);
      await removeGroups(group);
      rmSync(folder, { recursive: true, force: true });
      if (madeRun) rmdirSync('/run/fdspan');
    },
  };
}

function describeBundle(
  folder: string,
  argv: readonly string[],
  cgroupsPath: string,
  changes: PodOptions['securityContext'],
): unknown {
  const manifests = readManifests();
  const pod = podSpecOf(manifests);
  const [container] = pod.containers;
  const context = { ...container.securityContext, ...changes };
  const mounts = [
    ...systemMounts(),
    ...DEBIAN.map((path) => bind(path, path, true)),
    ...imageMounts(),
    ...volumeMounts(folder, pod, manifests.find(({ kind }) => kind === 'ConfigMap')?.data ?? {}),
  ];
  for (const { destination, source, type } of mounts)
    makePlace(join(folder, 'rootfs'), destination, source, type);
  const added = context.capabilities.add.map((name) => `CAP_${name}`);
  const [program, ...args] = argv;
  return {
    ociVersion: '1.0.2',
    process: {
      user: { uid: context.runAsUser, gid: context.runAsUser },
      args: [program.endsWith('/bin/fdspan') ? `${HOME}/bin/fdspan` : program, ...args],
      env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', ...environmentOf(container)],
      cwd: '/',
      // Kubernetes gives none that are inheritable or ambient.
      capabilities: { bounding: added, effective: added, permitted: added },
      noNewPrivileges: !context.allowPrivilegeEscalation,
    },
    root: { path: 'rootfs', readonly: context.readOnlyRootFilesystem },
    hostname: 'fdspan-x7k2p',
    mounts,
    linux: {
      cgroupsPath,
      namespaces: ['mount', 'ipc', 'uts', 'cgroup', ...(pod.hostPID === true ? [] : ['pid'])].map((type) => ({
        type,
      })),
      resources: { devices: [{ allow: false, access: 'rwm' }] },
      seccomp: profileOf(context.seccompProfile),
      maskedPaths: ['/proc/acpi', '/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    },
  };
}

function systemMounts(): Mount[] {
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755', 'size=65536k'] },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
  ];
}

/** Folders that the pod writes are below `folder`; what it reads is the host's own. */
function volumeMounts(folder: string, pod: PodSpec, config: Readonly<Record<string, string>>): Mount[] {
  return pod.containers[0].volumeMounts.map(({ name, mountPath, readOnly }) => {
    const volume = pod.volumes.find((it) => it.name === name);
    assert.ok(volume !== undefined, `the volume ${name}`);
    if (volume.hostPath !== undefined && readOnly === true)
      return bind(volume.hostPath.path, mountPath, true);
    const place = join(folder, 'volumes', name);
    mkdirSync(place, { recursive: true });
    for (const [file, text] of Object.entries(volume.configMap === undefined ? {} : config))
      writeFileSync(join(place, file), text);
    return bind(place, mountPath, readOnly === true);
  });
}

/** The root's own folders must be there before it is read-only; those inside of a mount are in what is mounted. */
function makePlace(rootfs: string, destination: string, source: string, type?: string): void {
  const place = join(rootfs, destination);
  const isFile = type === 'bind' && !isFolder(source);
  mkdirSync(isFile ? dirname(place) : place, { recursive: true });
  if (isFile) writeFileSync(place, '');
}

function isFolder(path: string): boolean {
  try {
    readFileSync(path);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EISDIR';
  }
}

function environmentOf({ env }: PodContainer): string[] {
  const known: Record<string, string> = { NODE_NAME: 'node-1.example' };
  return env.flatMap(({ name, value }) => {
    if (value === undefined) return [`${name}=${known[name]}`];
    return [`${name}=${value.replace(/\$\((\w+)\)/g, (_, variable: string) => known[variable])}`];
  });
}

interface Profile {
  readonly defaultAction: string;
  readonly syscalls: readonly { readonly names: readonly string[]; readonly action: string }[];
}

/** The profile of docker's form, as the engines give it to the runtime. */
export function readProfile(): Profile {
  return JSON.parse(readFileSync(join(root, 'deploy/seccomp/fdspan.json'), 'utf8')) as Profile;
}

function profileOf({ type, localhostProfile }: PodContainer['securityContext']['seccompProfile']): unknown {
  if (type === 'Unconfined') return undefined;
  assert.equal(localhostProfile, 'fdspan.json');
  const { syscalls, ...rest } = readProfile();
  return { ...rest, syscalls: syscalls.map((rule) => ({ ...rule, comment: undefined })) };
}
