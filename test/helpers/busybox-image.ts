// The root filesystem of the tests' containers: busybox with a link for each applet, the usual folders, and a file
// that only root may read.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const FOLDERS = ['/usr/bin', '/usr/sbin', '/usr/local/bin', '/usr/local/sbin', '/bin', '/sbin'];

/** Returns the path of an installed program; null when there is none. */
export function findCommand(command: string): string | null {
  return FOLDERS.map((folder) => join(folder, command)).find((path) => existsSync(path)) ?? null;
}

/** Returns why something that needs root and these programs can't run here, or null when it can. */
export function whyNoPrograms(...commands: readonly string[]): string | null {
  if (process.getuid?.() !== 0) return 'starting containers needs root';
  const missing = [...commands, 'busybox'].find((command) => findCommand(command) === null);
  return missing === undefined ? null : `${missing} isn't installed (npm run setup)`;
}

/** Makes the root filesystem in a folder that isn't there yet. */
export async function makeRootfs(rootfs: string): Promise<void> {
  const busybox = findCommand('busybox');
  if (busybox === null) throw new Error("busybox-static isn't installed: npm run setup");
  for (const each of ['bin', 'etc', 'tmp', 'var/log', 'var/lib', 'srv', 'root']) {
    await mkdir(join(rootfs, each), { recursive: true });
  }
  await chmod(join(rootfs, 'tmp'), 0o1777);
  await copyFile(busybox, join(rootfs, 'bin/busybox'));
  await chmod(join(rootfs, 'bin/busybox'), 0o755);
  const { stdout: applets } = await run(busybox, ['--list']);
  for (const applet of applets.split('\n').filter((line) => line !== '' && line !== 'busybox')) {
    await symlink('busybox', join(rootfs, 'bin', applet));
  }
  await writeFile(
    join(rootfs, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/srv:/bin/sh\n',
  );
  await writeFile(join(rootfs, 'etc/group'), 'root:x:0:\napp:x:1000:\n');
  await writeFile(join(rootfs, 'etc/shadow'), 'root:*:20000:0:99999:7:::\n', { mode: 0o600 });
}

/** Makes the archive in `folder` and returns its path; runtimes import it as an image. */
export async function makeImageArchive(folder: string): Promise<string> {
  const rootfs = join(folder, 'rootfs');
  await makeRootfs(rootfs);
  const archive = join(folder, 'image.tar');
  const owner = ['--owner=0', '--group=0', '--numeric-owner'];
  await run('tar', ['--create', ...owner, '-f', archive, '-C', rootfs, '.']);
  return archive;
}
