// A container of LXC in a folder of its own.
import { mkdir, mkdtemp, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { makeRootfs } from './busybox-image.ts';
import { groupOf, runCommand, runDetaching } from './runtime-commands.ts';
import { removeFolder, removeGroups } from './runtime-remains.ts';

export interface LxcContainer {
  readonly name: string;
  readonly pid: number;
  readonly cgroupPath: string;
  /** The folder of containers (`lxc.lxcpath`). */
  readonly root: string;
  stop(): Promise<void>;
}

export async function startLxc(options: {
  readonly name: string;
  readonly script: string;
  /** Lines of the configuration beside those that make it start. */
  readonly config?: readonly string[];
  /** The folder of containers; by default one of its own, which goes with it. */
  readonly root?: string;
}): Promise<LxcContainer> {
  const folder = await mkdtemp(join(tmpdir(), 'fdspan-lxc-'));
  const root = options.root ?? join(folder, 'containers');
  const { name } = options;
  const stop = async (): Promise<void> => {
    await runCommand('lxc-stop', ['-k', '-P', root, '-n', name]).catch(() => undefined);
    await removeFolder(folder);
    await rm(join(root, name), { recursive: true, force: true });
    await removeLocks(root, name);
    await removeGroups('/lxc.pivot');
  };
  try {
    await makeRootfs(join(folder, 'rootfs'));
    for (const target of ['proc', 'sys', 'dev']) await mkdir(join(folder, 'rootfs', target));
    await mkdir(join(root, name), { recursive: true });
    const lines = [
      `lxc.rootfs.path = dir:${folder}/rootfs`,
      'lxc.net.0.type = empty',
      ...(options.config ?? []),
    ];
    await writeFile(join(root, name, 'config'), `${lines.join('\n')}\n`);
    const args = ['-P', root, '-n', name, '-o', join(folder, 'lxc.log'), '-l', 'INFO'];
    await runDetaching('lxc-start', [...args, '--', '/bin/sh', '-c', options.script], join(folder, 'log'));
    const pid = Number((await runCommand('lxc-info', ['-P', root, '-n', name, '-pH'])).trim());
    return { name, pid, cgroupPath: await groupOf(pid), root, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** LXC keeps its locks below the container's whole path; what other containers have there isn't empty. */
async function removeLocks(root: string, name: string): Promise<void> {
  const top = '/run/lxc/lock';
  await rm(join(top, root, `.${name}`), { force: true });
  for (let folder = join(top, root); folder.startsWith('/run/lxc'); folder = dirname(folder)) {
    await rmdir(folder).catch(() => undefined);
  }
}
