// Starts a container with runc or crun alone, with a bundle and a state folder of its own.
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeRootfs } from './busybox-image.ts';
import { wrapperFor, type GroupsOfHost, type OciRuntime } from './oci-runtime.ts';
import { groupOf, runCommand, runDetaching } from './runtime-commands.ts';
import { removeGroups } from './runtime-remains.ts';

export interface BareOptions {
  readonly runtime: OciRuntime;
  readonly id: string;
  readonly script: string;
  readonly env?: readonly string[];
  readonly annotations?: Readonly<Record<string, string>>;
  /** The runtime's `--root`; by default a folder of its own, which goes with it. */
  readonly stateFolder?: string;
  readonly groups?: GroupsOfHost;
}

export interface BareContainer {
  readonly id: string;
  readonly pid: number;
  readonly cgroupPath: string;
  /** The runtime's `--root`. */
  readonly stateFolder: string;
  stop(): Promise<void>;
}

/** Starts the container and resolves once its first process runs; `stop()` is the caller's duty. */
export async function startBareContainer(options: BareOptions): Promise<BareContainer> {
  const folder = await mkdtemp(join(tmpdir(), 'fdspan-bare-'));
  const parent = `/fdspan-test-${randomBytes(6).toString('hex')}`;
  const stateFolder = options.stateFolder ?? join(folder, 'state');
  const [command, ...first] = [
    ...wrapperFor(options.runtime, options.groups),
    options.runtime,
    '--root',
    stateFolder,
  ];
  const stop = async (): Promise<void> => {
    await runCommand(command, [...first, 'delete', '--force', options.id]).catch(() => undefined);
    await removeGroups(parent);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await makeBundle(folder, options, `${parent}/${options.id}`);
    const args = ['run', '--detach', '--bundle', folder, '--pid-file', join(folder, 'pid'), options.id];
    await runDetaching(command, [...first, ...args], join(folder, 'log'));
    const pid = Number(await readFile(join(folder, 'pid'), 'utf8'));
    return { id: options.id, pid, cgroupPath: await groupOf(pid), stateFolder, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Makes a bundle in a folder that is there: a root of busybox, and the runtime's own default configuration. */
export async function makeBundle(folder: string, options: BareOptions, cgroupsPath: string): Promise<void> {
  await makeRootfs(join(folder, 'rootfs'));
  for (const target of ['proc', 'sys', 'dev']) await mkdir(join(folder, 'rootfs', target));
  await runCommand('sh', ['-c', `cd "$1" && exec ${options.runtime} spec`, 'sh', folder]);
  const path = join(folder, 'config.json');
  const config = JSON.parse(await readFile(path, 'utf8'));
  config.process.terminal = false;
  config.root.readonly = false;
  config.process.args = ['/bin/sh', '-c', options.script];
  config.process.env.push(...(options.env ?? []));
  // The defaults may be more than this shell may have.
  config.process.rlimits = [];
  config.annotations = options.annotations ?? {};
  config.linux.cgroupsPath = cgroupsPath;
  await writeFile(path, JSON.stringify(config));
}
