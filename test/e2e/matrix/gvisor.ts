// gVisor: the program's system calls end in a kernel of its own, in user space. What the host sees are the opens of its
// file server (the gofer), a program of the runtime.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeRootfs, whyNoPrograms } from '../../helpers/busybox-image.ts';
import { whyNoKernelTests } from '../../helpers/collector-process.ts';
import type { OtlpReceiver } from '../../helpers/otlp-receiver.ts';
import { runCommand, runDetaching } from '../../helpers/runtime-commands.ts';
import { removeGroups } from '../../helpers/runtime-remains.ts';
import { OPENS, script, type Cell, type CellContainer } from './cell.ts';
import { runHere } from './machine.ts';
import { onlyAsk, twoNames } from './names.ts';

/** gVisor keeps an empty /tmp in memory of its own, where the host sees nothing. */
const FILES = '/srv';
const OPTIONS = ['--network=none'];

const base = {
  groups: 'cgroupfs',
  host: 'this machine',
  isQuick: false,
  whyNot: () => whyNoKernelTests() ?? whyNoPrograms('runsc'),
};

async function startOne(id: string): Promise<{ container: CellContainer; stop: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'fdspan-gvisor-'));
  const root = join(folder, 'rootfs');
  const stop = async (): Promise<void> => {
    await runCommand('runsc', [...OPTIONS, 'delete', '-force', id]).catch(() => undefined);
    await removeGroups(`/${id}`);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await makeRootfs(root);
    await mkdir(join(root, 'proc'));
    const spec = 'cd "$1" && exec runsc spec -- /bin/sh -c "$2"';
    await runCommand('sh', ['-c', spec, 'sh', folder, script(id, FILES)]);
    const configPath = join(folder, 'config.json');
    const config = JSON.parse(await readFile(configPath, 'utf8'));
    config.root.readonly = false;
    await writeFile(configPath, JSON.stringify(config));
    const args = ['run', '--detach', '--bundle', folder, '--pid-file', join(folder, 'pid'), id];
    await runDetaching('runsc', [...OPTIONS, ...args], join(folder, 'log'));
    const pid = (await readFile(join(folder, 'pid'), 'utf8')).trim();
    const groups = await readFile(`/proc/${pid}/cgroup`, 'utf8');
    assert.match(groups, /^0::\/$/m, 'gVisor makes no v2 group here');
    const path = /:pids:(.*)$/m.exec(groups)?.[1] ?? '';
    const container: CellContainer = {
      marker: id,
      id,
      processFolder: `/proc/${pid}`,
      root,
      // From inside: it remembers that a file isn't there.
      go: () => runCommand('runsc', [...OPTIONS, 'exec', id, '/bin/touch', '/go']),
      group: { 'fdspan.cgroup.version': 'v1', 'fdspan.cgroup.path': path },
      expected: { 'service.name': id, 'container.runtime.name': 'runsc' },
      labels: {},
    };
    return { container, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function checkGofer(receiver: OtlpReceiver, containers: readonly CellContainer[]): void {
  for (const { id, expected, group } of containers) {
    const own = receiver.spans.filter(({ resource }) => resource.attributes['container.id'] === id);
    const paths = new Set(own.map(({ span }) => span.attributes['file.path']));
    for (let index = 0; index < OPENS; index++) assert.ok(paths.has(`${FILES}/${id}-${index}`), `${index}`);
    for (const { span, resource } of own) {
      assert.match(span.attributes['file.path'] as string, new RegExp(`^(/go|${FILES}/${id}-\\d+)$`));
      assert.equal(span.attributes['process.executable.name'], 'runsc');
      assert.equal(span.attributes['fdspan.phase'], 'runtime');
      for (const [key, value] of Object.entries({ ...expected, ...group }))
        assert.equal(resource.attributes[key], value, key);
    }
  }
  const ids = new Set(receiver.spans.map(({ resource }) => resource.attributes['container.id']));
  assert.deepEqual([...ids].sort(), containers.map(({ id }) => id).sort(), 'nothing of the host');
}

function gvisor(isRuntimeTraced: boolean): Cell {
  return {
    ...base,
    runtime: isRuntimeTraced ? 'runsc alone, containers.runtime_phase on' : 'runsc alone',
    ...(isRuntimeTraced
      ? {}
      : {
          limit:
            'files are opened on the host by a program of the runtime only (containers.runtime_phase is off)',
        }),
    async start(t) {
      const containers: CellContainer[] = [];
      for (const name of twoNames()) {
        const { container, stop } = await startOne(name);
        t.after(stop);
        containers.push(container);
      }
      return {
        containers,
        runtimes: onlyAsk({ state: 'auto' }),
        startCollector: runHere(),
        // Nobody can be asked about its containers: what isn't judged when fdspan stops is dropped.
        set: { 'containers.runtime_phase': String(isRuntimeTraced), 'limits.metadata_wait': '0ms' },
        check: checkGofer,
      };
    },
  };
}

export const GVISOR_CELLS: readonly Cell[] = [gvisor(false), gvisor(true)];
