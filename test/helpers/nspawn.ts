// Machines of systemd-nspawn without systemd as pid 1: a message bus and a machine manager of their own, in a
// mount namespace with its own /run/systemd.
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeRootfs } from './busybox-image.ts';
import { startDaemon } from './owned-daemon.ts';
import { groupOf } from './runtime-commands.ts';
import { removeFolder, removeGroups } from './runtime-remains.ts';

export interface NspawnMachine {
  readonly name: string;
  /** The first process of the payload. */
  readonly pid: number;
  readonly cgroupPath: string;
  /** /run/systemd as the machine manager sees it. */
  readonly runFolder: string;
  /** A process in whose mount namespace that folder is /run/systemd. */
  readonly managerPid: number;
  stop(): Promise<void>;
}

export async function startNspawn(options: {
  readonly name: string;
  readonly script: string;
  /** Whether the machine manager is told of it. */
  readonly isRegistered: boolean;
  /** What is /run/systemd for it: another machine's, for one view of both; by default one of its own. */
  readonly runFolder?: string | undefined;
}): Promise<NspawnMachine> {
  const folder = await mkdtemp(join(tmpdir(), 'fdspan-nspawn-'));
  // The machine manager wants the group of a unit.
  const slice = `/fdspantest${randomBytes(6).toString('hex')}.slice`;
  const group = `${slice}/machine-${options.name}.scope`;
  const rootfs = join(folder, 'rootfs');
  const runFolder = options.runFolder ?? join(folder, 'run');
  await makeRootfs(rootfs);
  await mkdir(join(rootfs, 'usr'));
  await writeFile(join(rootfs, 'etc/os-release'), 'ID=fdspan\n');
  await writeFile(join(folder, 'bus.conf'), busText(folder));
  await writeFile(join(folder, 'machine.sh'), SCRIPT);
  const register = options.isRegistered ? 'yes' : 'no';
  const args = ['--mount', 'bash', join(folder, 'machine.sh'), folder, group, options.name, register];
  const payload = `/sys/fs/cgroup/unified${group}/payload`;
  try {
    const daemon = await startDaemon({
      argv: ['unshare', ...args, options.script, runFolder],
      logPath: join(folder, 'log'),
      isReady: async () => {
        if ((await firstProcess(payload)) === null) return false;
        // The machine manager answers, and so lets the payload start, before it writes its state.
        return !options.isRegistered || existsSync(join(runFolder, 'machines', options.name));
      },
    });
    const pid = (await firstProcess(payload)) ?? 0;
    const stop = async (): Promise<void> => {
      await daemon.stop();
      await removeGroups(slice);
      await removeFolder(folder);
    };
    return {
      name: options.name,
      pid,
      cgroupPath: await groupOf(pid),
      runFolder,
      managerPid: daemon.pid,
      stop,
    };
  } catch (error) {
    await removeGroups(slice);
    await removeFolder(folder);
    throw error;
  }
}

async function firstProcess(group: string): Promise<number | null> {
  const text = await readFile(join(group, 'cgroup.procs'), 'utf8').catch(() => '');
  return text === '' ? null : Number(text.split('\n')[0]);
}

/** Ends what it started, in order, when it is told to. */
const SCRIPT = `
folder=$1 group=$2 name=$3 register=$4 script=$5 run=$6
mkdir -p "$run"
mount --bind "$run" /run/systemd
mkdir -p /run/systemd/machines /run/systemd/nspawn
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$folder/bus
trap 'kill $machine; wait $machine; kill $manager $bus; wait; exit 0' TERM
dbus-daemon --config-file="$folder/bus.conf" --nofork & bus=$!
until [ -S "$folder/bus" ]; do sleep 0.05; done
/lib/systemd/systemd-machined & manager=$!
until busctl status org.freedesktop.machine1 >/dev/null 2>&1; do sleep 0.05; done
(
  for mount in /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
    mkdir -p "$mount$group"
    echo $BASHPID >"$mount$group/cgroup.procs"
  done
  exec systemd-nspawn --register="$register" --keep-unit --private-network --kill-signal=SIGKILL -M "$name" -D "$folder/rootfs" \\
    /bin/sh -c "$script" </dev/null
) & machine=$!
wait
`;

function busText(folder: string): string {
  return `<busconfig>
  <type>system</type>
  <listen>unix:path=${folder}/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
</busconfig>
`;
}
