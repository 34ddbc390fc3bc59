// A file system of a test's own, in a mount namespace that ends with the test whatever happens: a shell holds it, and ends
// when its standard input does. The test reaches it through /proc/PID/root; nobody else sees it.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { cleanEnvironment } from './collector-process.ts';

export interface PrivateDisk {
  /** The root of the file system, as any process of the host can open it. */
  readonly path: string;
  /** Whether one of its folders has a file whose name ends so. */
  holds(folder: string, ending: string): boolean;
  /** Runs a shell command where `$disk` is the root, and `$image` what it is mounted from; fails with what it says. */
  run(command: string): Promise<string>;
}

/** Returns why a test can't have a file system of its own, or null. */
export function whyNoPrivateDisk(): string | null {
  return process.getuid?.() === 0 ? null : 'mounting a file system needs root';
}

/** A file system in memory of so many bytes. */
export function mountTmpfs(t: TestContext, bytes: number): Promise<PrivateDisk> {
  return mount(t, `mount -t tmpfs -o size=${bytes},nr_inodes=100 tmpfs "$disk"`);
}

/** ext4 over a file, by a loop device. */
export function mountExt4(t: TestContext, bytes: number): Promise<PrivateDisk> {
  const options = 'lazy_itable_init=0,lazy_journal_init=0';
  // A file system that stays frozen would hold whoever waits for it for ever.
  const thaw = `trap 'fsfreeze --unfreeze "$disk" 2>/dev/null' EXIT`;
  const make = `truncate -s ${bytes} "$image" && mkfs.ext4 -q -F -m 0 -E ${options} "$image"`;
  return mount(t, `${thaw} && ${make} && mount -o loop "$image" "$disk"`);
}

/** A file system that answers nothing: every call to it hangs until it is killed. */
export function mountSilent(t: TestContext): Promise<PrivateDisk> {
  const options = 'fd=9,rootmode=40000,user_id=0,group_id=0';
  return mount(t, `exec 9<>/dev/fuse && mount -i -t fuse -o ${options} fuse "$disk"`);
}

async function mount(t: TestContext, command: string): Promise<PrivateDisk> {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-disk-'));
  const shell = spawn('unshare', ['--mount', '--propagation', 'private', 'sh'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...cleanEnvironment(), disk: join(folder, 'disk'), image: join(folder, 'image'), LC_ALL: 'C' },
  });
  const lines = createInterface({ input: shell.stdout })[Symbol.asyncIterator]();
  const run = async (text: string): Promise<string> => {
    shell.stdin.write(`{ ${text}\n} 2>&1; echo; echo "=$?"\n`);
    const said: string[] = [];
    for (;;) {
      const { value, done } = await lines.next();
      if (done === true) throw new Error(`the shell of the disk ended at ${text}: ${said.join('\n')}`);
      if (value.startsWith('=')) break;
      said.push(value);
    }
    return said.join('\n').trim();
  };
  t.after(() => end(shell, folder));
  await must(run, `mkdir "$disk" && ${command}`);
  const path = `/proc/${shell.pid}/root${folder}/disk`;
  return {
    path,
    holds: (name, ending) =>
      existsSync(join(path, name)) && readdirSync(join(path, name)).some((file) => file.endsWith(ending)),
    run: (text) => must(run, text),
  };
}

async function must(run: (text: string) => Promise<string>, text: string): Promise<string> {
  const said = await run(`if ${text}\nthen echo done; else echo failed; fi`);
  if (!/(^|\n)done$/.test(said)) throw new Error(`${text}: ${said}`);
  return said.replace(/\n?done$/, '');
}

async function end(shell: ChildProcess, folder: string): Promise<void> {
  if (shell.exitCode === null) {
    shell.stdin?.end();
    await once(shell, 'exit');
  }
  // The kernel unmounts behind the last process of the namespace.
  for (let turn = 0; turn < 100; turn += 1) {
    try {
      rmSync(folder, { recursive: true, force: true });
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
      await delay(50);
    }
  }
}
