// Many short containers, one after another and at once, each opening its files in its first milliseconds. Two ways: bare
// ones by runc or crun; and groups named as docker's, whose first process is executed inside, for numbers that a runtime
// would need minutes for.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findCommand, makeRootfs } from './busybox-image.ts';
import { findHierarchy } from './cgroup.ts';
import { wrapperFor, type OciRuntime } from './oci-runtime.ts';
import { runCommand } from './runtime-commands.ts';
import { removeGroups } from './runtime-remains.ts';

const execute = promisify(execFile);

/** Opened and closed by each container before it ends. */
export const OPENS = 5;
/** Reason: 1,000 containers of runc take two minutes on 2 cores. */
const LAUNCH_TIMEOUT_MS = 600_000;

export interface Launcher {
  /** Runs a container for each id to its end: one after the other, or all at once. */
  run(ids: readonly string[], atOnce: number): Promise<void>;
  /** The paths that the container of this id opens, as it sees them. */
  pathsOf(id: string): string[];
  remove(): Promise<void>;
}

/** Opens by redirection only: the shell itself opens nothing else. */
const OPEN_FILES = `i=0; while [ $i -lt ${OPENS} ]; do echo > "$1-$i"; i=$((i+1)); done`;

function pathsFrom(prefix: string): string[] {
  return Array.from({ length: OPENS }, (_, index) => `${prefix}-${index}`);
}

/** Containers of runc or crun below a group of their own, in the runtime's default state folder. */
export async function makeBareLauncher(runtime: OciRuntime): Promise<Launcher> {
  const folder = await mkdtemp(join(tmpdir(), 'fdspan-bare-'));
  const parent = `/fdspan-test-${randomBytes(6).toString('hex')}`;
  const [command, ...first] = [...wrapperFor(runtime), runtime];
  const rootfs = join(folder, 'rootfs');
  await makeRootfs(rootfs);
  for (const target of ['proc', 'sys', 'dev']) await mkdir(join(rootfs, target));
  await runCommand('sh', ['-c', `cd "$1" && exec ${runtime} spec`, 'sh', folder]);
  const spec = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'));
  const runOne = async (id: string): Promise<void> => {
    const bundle = join(folder, id);
    await mkdir(bundle);
    const process = { ...spec.process, terminal: false, rlimits: [] };
    process.args = ['/bin/busybox', 'sh', '-c', OPEN_FILES, 'sh', `/tmp/${id}`];
    const linux = { ...spec.linux, cgroupsPath: `${parent}/${id}` };
    const root = { path: rootfs, readonly: false };
    await writeFile(join(bundle, 'config.json'), JSON.stringify({ ...spec, process, linux, root }));
    await execute(command, [...first, 'run', '--bundle', bundle, id], { timeout: LAUNCH_TIMEOUT_MS });
  };
  return {
    run: (ids, atOnce) => eachAtOnce(ids, atOnce, runOne),
    pathsOf: (id) => pathsFrom(`/tmp/${id}`),
    remove: async () => {
      await removeGroups(parent);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/**
 * Groups `docker-ID.scope`, each of which a shell enters and then executes the container's program, as a runtime does. In
 * between it opens one file: the runtime's own, {@link runtimePathOf}.
 */
export async function makeGroupLauncher(): Promise<Launcher & { runtimePathOf(id: string): string }> {
  const mount = findHierarchy('v2');
  if (mount === null) throw new Error('no v2 hierarchy of control groups is mounted');
  const folder = await mkdtemp(join(tmpdir(), 'fdspan-groups-'));
  const parent = `/fdspan-test-${randomBytes(6).toString('hex')}`;
  await mkdir(join(mount, parent));
  const busybox = findCommand('busybox') ?? 'busybox';
  // One process starts them all: the test's own, in which receiver and engine answer, must not be held up.
  const script = `
    one() {
      group="$1/docker-$4.scope"; mkdir "$group"
      "$2" sh -c 'echo $$ > "$1/cgroup.procs"; : > "$2-runtime"; exec "$3" sh -c "$4" sh "$2"' sh "$group" "$3/$4" "$2" "$5"
      rmdir "$group"
    }
    while read -r id; do
      if [ "$5" = 1 ]; then one "$1" "$2" "$3" "$id" "$4"; else one "$1" "$2" "$3" "$id" "$4" & fi
    done < "$3/ids"
    wait`;
  const run = async (ids: readonly string[], atOnce: number): Promise<void> => {
    await writeFile(join(folder, 'ids'), ids.map((id) => `${id}\n`).join(''));
    const args = ['sh', '-c', script, 'sh', join(mount, parent), busybox, folder, OPEN_FILES, String(atOnce)];
    await execute(busybox, args, { timeout: LAUNCH_TIMEOUT_MS });
  };
  return {
    run,
    pathsOf: (id) => pathsFrom(join(folder, id)),
    runtimePathOf: (id) => join(folder, `${id}-runtime`),
    remove: async () => {
      await removeGroups(parent);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function eachAtOnce(
  ids: readonly string[],
  atOnce: number,
  run: (id: string) => Promise<void>,
): Promise<void> {
  const left = [...ids];
  const runner = async (): Promise<void> => {
    for (let id = left.shift(); id !== undefined; id = left.shift()) await run(id);
  };
  await Promise.all(Array.from({ length: atOnce }, runner));
}
