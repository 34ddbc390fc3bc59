// A docker container that runs a dockerd of its own. Its root is busybox with this machine's programs bound over it
// read-only; it may do what starting containers takes, without docker's --privileged, which wants more than every machine
// lets it have.
import { setTimeout as delay } from 'node:timers/promises';
import type { DockerDaemon } from './docker.ts';

/** The image inside: the same busybox. */
const INNER_IMAGE = 'fdspan.test/fdspan-inner:1';
/** Reason: the inner daemon is ready in 1 s; other tests may share the machine's 2 cores. */
const READY_TIMEOUT_MS = 60_000;
const LOOK_MS = 100;

const CAPABILITIES = 'SYS_ADMIN NET_ADMIN SYS_PTRACE MKNOD DAC_READ_SEARCH SETFCAP SYSLOG IPC_LOCK LEASE';
const BINDS = ['/usr/bin:/bin', '/usr/sbin:/sbin', '/usr/lib:/lib', '/usr/lib64:/lib64', '/usr:/usr'];
const EMPTY_FOLDERS = ['/var/lib/docker', '/var/lib/containerd', '/run', '/tmp'];

/** Roots of the containers inside. */
const ROOT = '/tmp/root';
const POD_ROOT = '/tmp/pod-root';

/** The hierarchies are mounted read-only for a container that isn't privileged. */
const INIT = `for mount in $(grep -o '/sys/fs/cgroup[^ ]*' /proc/self/mounts); do mount -o remount,rw,bind $mount; done
dockerd --bridge=none --iptables=false --ip6tables=false --ip-forward=false --storage-driver=overlay2 \\
  >/tmp/dockerd.log 2>&1 &
wait`;

export interface OuterContainer {
  readonly id: string;
  /** Its first process, as this machine numbers it. */
  readonly pid: number;
  /** Runs a command in the outer container; returns what it prints, trimmed. */
  run(...argv: readonly string[]): Promise<string>;
  /** Runs a container inside, in the background; returns its id. */
  runInner(name: string, script: string): Promise<string>;
  /** Runs a container of the inner containerd in the group of a pod, as the kubelet of a kind node makes it. */
  runInnerPod(id: string, podUid: string, script: string): Promise<void>;
  /** Runs a command in a container inside; returns what it prints, trimmed. */
  runInInner(id: string, ...argv: readonly string[]): Promise<string>;
}

/** Starts it, and resolves when the dockerd inside answers. It ends with the daemon that it is given. */
export async function startOuterContainer(daemon: DockerDaemon, name: string): Promise<OuterContainer> {
  const extra = ['seccomp=unconfined', 'apparmor=unconfined', 'systempaths=unconfined'].flatMap((option) => [
    '--security-opt',
    option,
  ]);
  extra.push('--device-cgroup-rule', 'a *:* rwm');
  for (const capability of CAPABILITIES.split(' ')) extra.push('--cap-add', capability);
  for (const bind of BINDS) extra.push('--volume', `${bind}:ro`);
  for (const folder of EMPTY_FOLDERS) extra.push('--tmpfs', `${folder}:exec`);
  const id = await daemon.create({ name, script: INIT, extra });
  const pid = await daemon.start(id);
  const run: OuterContainer['run'] = (...argv) => daemon.docker('exec', id, ...argv);
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (!(await isDone(run('docker', 'version')))) {
    if (performance.now() > deadline) throw new Error(await run('tail', '/tmp/dockerd.log'));
    await delay(LOOK_MS);
  }
  const root = `mkdir -p ${ROOT}/bin ${ROOT}/tmp ${ROOT}/proc ${ROOT}/sys ${ROOT}/dev ${ROOT}/run && cp /usr/bin/busybox ${ROOT}/bin/`;
  const applets = `for name in sh sleep mkdir test touch readlink hostname; do ln -s busybox ${ROOT}/bin/$name; done`;
  const load = `tar -C ${ROOT} -c . | docker import - ${INNER_IMAGE}`;
  await run('/bin/sh', '-c', `${root} && ${applets} && ${load}`);
  return {
    id,
    pid,
    run,
    runInner: (innerName, script) => {
      const options = ['--detach', '--name', innerName, '--network', 'none'];
      return run('docker', 'run', ...options, INNER_IMAGE, '/bin/sh', '-c', script);
    },
    runInnerPod: async (podId, podUid, script) => {
      const ctr = ['ctr', '--address', '/var/run/docker/containerd/containerd.sock', '--namespace', 'k8s.io'];
      const group = `/kubepods/besteffort/pod${podUid}/${podId}`;
      // Shares of the processor need a controller that the host may not have.
      const options = ['--detach', '--null-io', '--cpu-shares', '0', '--cgroup', group, '--rootfs', POD_ROOT];
      await run('cp', '-a', ROOT, POD_ROOT);
      await run(...ctr, 'run', ...options, podId, '/bin/sh', '-c', script);
    },
    runInInner: (innerId, ...argv) => run('docker', 'exec', innerId, ...argv),
  };
}

async function isDone(command: Promise<unknown>): Promise<boolean> {
  return command.then(
    () => true,
    () => false,
  );
}
