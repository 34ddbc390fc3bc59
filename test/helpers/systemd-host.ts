// A host with a real systemd as its process 1, for tests of units, notices and the systemd driver of cgroups.
// Its root is a throw-away overlay of this machine's own, so every tool that is installed is there; the
// checkout is at /opt/fdspan. Mounts live in a namespace that ends with it; its groups are its own.
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** `hybrid`: controllers in v1 hierarchies, groups in v2 too; `unified`: v2 only. */
export type CgroupMode = 'hybrid' | 'unified';

export interface CommandResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Given to standard input. */
  readonly input?: string;
  readonly timeoutMs?: number;
}

export interface SystemdHost {
  /** Its process 1, as this machine numbers it. */
  readonly pid: number;
  /** Runs a command in all its namespaces; an exit code that isn't 0 is a result, not an error. */
  run(argv: readonly string[], options?: RunOptions): Promise<CommandResult>;
  /** Ends every process in it and removes its groups and files; may be called twice. */
  stop(): Promise<void>;
}

/** Where the checkout is seen inside, read-only: a checkout under /tmp would be hidden by PrivateTmp. */
export const CHECKOUT_INSIDE = '/opt/fdspan';

const checkout = join(import.meta.dirname, '../..');

/** Reason: a boot takes 0.5 to 2 s; other tests may share the machine's 2 cores. */
const BOOT_TIMEOUT_MS = 60_000;
const COMMAND_TIMEOUT_MS = 60_000;
/** Reason: killed processes are gone in milliseconds; their groups are busy until then. */
const REMOVE_TIMEOUT_MS = 10_000;
const LOOK_MS = 50;

/** systemd-nspawn of this release and later can't give v1 hierarchies to what it boots. */
const FIRST_WITHOUT_V1 = 258;

const COMMAND_PATH = '/usr/sbin:/usr/bin:/sbin:/bin';
const COMMANDS = ['systemd-nspawn', 'systemctl', 'nsenter', 'setpriv', 'unshare', 'mount'];

/**
 * Mounts the root and joins the groups, then becomes the container manager. A tmpfs on /run keeps what the
 * manager writes there off this machine. What the machine starts by itself (units, init scripts, mounts of
 * fstab) is taken out of the copy. A machine id of its own, so that it isn't taken for a first boot.
 */
const BOOT_SCRIPT = `set -eu
folder=$1 machine=$2 checkout=$3; shift 3
for group in "$@"; do echo $$ > "$group/cgroup.procs"; done
mount -t tmpfs -o mode=755 tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" overlay "$folder/root"
mount -t tmpfs -o mode=755 tmpfs /run
cd "$folder/root/etc"
rm -rf systemd/system systemd/user fstab init.d rc?.d machine-id
mkdir -p systemd/system
: > fstab
echo "$machine" > machine-id
cd /
exec systemd-nspawn --quiet --boot --register=no --keep-unit --link-journal=no --resolv-conf=off --timezone=off \\
  --capability=all --system-call-filter='bpf keyctl add_key perf_event_open @mount @keyring' \\
  --console=pipe --machine="fdspan-$machine" --bind-ro="$checkout:${CHECKOUT_INSIDE}" -D "$folder/root" \\
  -- --unit=multi-user.target
`;

/** Returns why no systemd can be booted here, or null when one can. */
export function whyNoSystemd(mode: CgroupMode): string | null {
  if (process.getuid?.() !== 0) return 'booting a systemd needs root';
  const folders = COMMAND_PATH.split(':');
  const missing = COMMANDS.filter((name) => !folders.some((folder) => existsSync(join(folder, name))));
  if (missing.length > 0) return `${missing.join(', ')} isn't installed (npm run setup)`;
  const hierarchies = findMounts();
  if (!hierarchies.some(({ type }) => type === 'cgroup2')) return 'no v2 hierarchy of groups is mounted';
  if (mode === 'hybrid') {
    const hasNamed = hierarchies.some(({ options }) => options.includes('name=systemd'));
    if (!hasNamed) return 'the machine has no v1 hierarchy name=systemd: a hybrid host needs one';
    const release = Number(/^systemd (\d+)/.exec(textOf('systemd-nspawn', ['--version']))?.[1]);
    if (release >= FIRST_WITHOUT_V1) return `systemd-nspawn ${release} doesn't know v1 hierarchies`;
  }
  return whyNoOverlay() ?? whyNoGroup(hierarchies);
}

function textOf(command: string, args: readonly string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function whyNoOverlay(): string | null {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-overlay-'));
  const script =
    'mount -t tmpfs tmpfs "$1" && cd "$1" && mkdir u w r && mount -t overlay -o lowerdir=/,upperdir=u,workdir=w o r';
  try {
    textOf('unshare', ['--mount', 'sh', '-c', script, 'sh', folder]);
    return null;
  } catch (error) {
    return `no overlay of the root file system: ${String((error as { stderr?: string }).stderr).trim()}`;
  } finally {
    rmdirSync(folder);
  }
}

function whyNoGroup(hierarchies: readonly GroupMount[]): string | null {
  for (const { mountPoint } of hierarchies) {
    const folder = join(mountPoint, `fdspan-try-${randomBytes(6).toString('hex')}`);
    try {
      mkdirSync(folder);
      rmdirSync(folder);
    } catch (error) {
      return `no group can be made in ${mountPoint}: ${(error as Error).message}`;
    }
  }
  return null;
}

interface GroupMount {
  readonly mountPoint: string;
  readonly type: string;
  readonly options: readonly string[];
}

function findMounts(): GroupMount[] {
  const found = new Map<string, GroupMount>();
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [left, right] = line.split(' - ');
    const [type, , options = ''] = (right ?? '').split(' ');
    if (type !== 'cgroup' && type !== 'cgroup2') continue;
    const key = `${type} ${options}`;
    if (!found.has(key))
      found.set(key, { mountPoint: left.split(' ')[4], type, options: options.split(',') });
  }
  return [...found.values()];
}

export interface SystemdOptions {
  readonly mode: CgroupMode;
  /**
   * The control group that it is booted in, where its manager makes groups of its own (v2 and name=systemd): no one
   * else's, and removed with its first segment.
   */
  readonly groupPath?: string;
}

/** Boots one, on this machine's network; resolves when its units have started. `stop()` is the caller's duty. */
export async function startSystemd({ mode, groupPath }: SystemdOptions): Promise<SystemdHost> {
  const machine = randomBytes(16).toString('hex');
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-systemd-'));
  const groups = makeGroups(`fdspan-systemd-${machine.slice(0, 12)}`, groupPath);
  const boot = [
    'sh',
    '-c',
    BOOT_SCRIPT,
    'sh',
    folder,
    machine,
    checkout,
    ...groups.map(({ group }) => group),
  ];
  // All of it ends with this process, however this ends: the manager is process 1 of a pid namespace.
  const own = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', ...own, ...boot], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: COMMAND_PATH,
      ...(mode === 'unified' ? { SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1' } : {}),
    },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  let stopped: Promise<void> | null = null;
  const stop = (): Promise<void> =>
    (stopped ??= removeHost({ child, ended, folder, groups: groups.map(({ top }) => top) }));
  try {
    const pid = await untilBooted(child);
    return { pid, run: (argv, options) => runInside(pid, argv, options), stop };
  } catch (error) {
    await stop();
    throw new Error(`booting a systemd (${mode}): ${(error as Error).message}\n${output}`, { cause: error });
  }
}

function makeGroups(usual: string, managersPath = `/${usual}`): { group: string; top: string }[] {
  return findMounts().map(({ mountPoint, type, options }) => {
    const isManagers = type === 'cgroup2' || options.includes('name=systemd');
    const path = isManagers ? managersPath : `/${usual}`;
    const group = join(mountPoint, path);
    mkdirSync(group, { recursive: true });
    // A new v1 cpuset has no processor, and takes no process.
    if (options.includes('cpuset')) {
      for (const file of ['cpuset.cpus', 'cpuset.mems'])
        execFileSync('cp', ['--no-preserve=all', join(mountPoint, file), join(group, file)]);
    }
    return { group, top: join(mountPoint, path.split('/')[1]) };
  });
}

async function untilBooted(child: ChildProcess): Promise<number> {
  const deadline = Date.now() + BOOT_TIMEOUT_MS;
  let state = 'the manager has no child';
  while (Date.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`systemd-nspawn ended with ${child.exitCode}`);
    const pid = initOf(child.pid!);
    if (pid !== null) {
      const result = await runInside(pid, ['systemctl', 'is-system-running']);
      state = result.stdout.trim();
      // Degraded: a unit of this machine that isn't ours can't start in a container.
      if (state === 'running' || state === 'degraded') return pid;
    }
    await delay(LOOK_MS);
  }
  throw new Error(`not booted within ${BOOT_TIMEOUT_MS} ms: ${state}`);
}

/** The last process of the chain unshare, manager, process 1; null until there is one. */
function initOf(unsharePid: number): number | null {
  const managerPid = childOf(unsharePid);
  const pid = managerPid === null ? null : childOf(managerPid);
  // What is there before its exec is the manager's own fork, in this machine's namespaces.
  return pid !== null && isInit(textOfFile(`/proc/${pid}/cmdline`)) ? pid : null;
}

function isInit(commandLine: string): boolean {
  return /^[^\0]*\/(systemd|init)\0/.test(commandLine);
}

function childOf(pid: number): number | null {
  const children = textOfFile(`/proc/${pid}/task/${pid}/children`).trim();
  return children === '' ? null : Number(children.split(' ')[0]);
}

function textOfFile(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function runInside(
  pid: number,
  argv: readonly string[],
  { input = '', timeoutMs = COMMAND_TIMEOUT_MS }: RunOptions = {},
): Promise<CommandResult> {
  const enter = ['-t', String(pid), '-m', '-u', '-i', '-n', '-p', '-C', '--', ...argv];
  const options = {
    timeout: timeoutMs,
    killSignal: 'SIGKILL' as const,
    maxBuffer: 64 << 20,
    env: { PATH: COMMAND_PATH, LANG: 'C.UTF-8', SYSTEMD_COLORS: '0', SYSTEMD_PAGER: '' },
  };
  return new Promise((resolve) => {
    const child = execFile('nsenter', enter, options, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : typeof error.code === 'number' ? error.code : null;
      resolve({ exitCode, stdout, stderr });
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}

async function removeHost(host: {
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
  readonly folder: string;
  readonly groups: readonly string[];
}): Promise<void> {
  // The manager is process 1 of all the rest; who started it then reaps it and ends.
  process.kill(childOf(host.child.pid!) ?? host.child.pid!, 'SIGKILL');
  // Its output is closed when the last process that has it is gone.
  await host.ended;
  for (const group of host.groups) await removeGroup(group, Date.now() + REMOVE_TIMEOUT_MS);
  rmSync(host.folder, { recursive: true, force: true });
}

async function removeGroup(folder: string, deadline: number): Promise<void> {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeGroup(join(folder, entry.name), deadline);
  }
  for (;;) {
    try {
      return rmdirSync(folder);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return;
      if (code !== 'EBUSY' || Date.now() > deadline) throw error;
      await delay(LOOK_MS);
    }
  }
}
