// Cells on this machine itself: the runtimes' own daemons and state, and the machine's own control groups.
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { TestContext } from 'node:test';
import { startCollector, whyNoKernelTests } from '../../helpers/collector-process.ts';
import { DOCKER_IMAGE, startDocker, whyNoDocker } from '../../helpers/docker.ts';
import {
  cgroup2Of,
  script,
  type Cell,
  type CellCollector,
  type CellContainer,
  type CellSettings,
} from './cell.ts';

const HOST = 'this machine';

/** Everything off but what the cell names: it shows which source told. */
export function onlyAsk(runtimes: Readonly<Record<string, string>>): Record<string, string> {
  return { docker: 'off', podman: 'off', containerd: 'off', cri: 'off', state: 'off', ...runtimes };
}

/** Two names that nothing else on the machine has. */
export function twoNames(): [string, string] {
  const mark = randomBytes(4).toString('hex');
  return [`fdspan-${mark}-first`, `fdspan-${mark}-second`];
}

/** Labels as people give them: a second of each kind, an empty one, other letters. */
export function labelsOf(name: string): Record<string, string> {
  return { 'com.example/owner': `shop & söhne ${name}`, empty: '', [`only.${name}`]: '1' };
}

async function runHere(t: TestContext, settings: CellSettings): Promise<CellCollector> {
  const { endpoint, containerIds, runtimes } = settings;
  const set = { 'containers.runtimes': JSON.stringify(runtimes), 'containers.labels': '["*"]' };
  const collector = await startCollector({ endpoint, containerIds, set });
  t.after(() => collector.kill());
  return { stop: async () => (await collector.stop()).counters };
}

const [DOCKER_IMAGE_NAME, DOCKER_IMAGE_TAG] = DOCKER_IMAGE.split(':');

const docker: Cell = {
  runtime: 'docker',
  groups: 'cgroupfs',
  host: HOST,
  isQuick: true,
  whyNot: () => whyNoKernelTests() ?? whyNoDocker(),
  async start(t) {
    const daemon = await startDocker();
    t.after(() => daemon.stop());
    const version = await daemon.docker('version', '--format', '{{.Server.Version}}');
    const containers: CellContainer[] = [];
    for (const name of twoNames()) {
      const labels = labelsOf(name);
      const id = await daemon.create({ name, script: script(name), labels });
      const pid = await daemon.start(id);
      const expected = {
        'service.name': name,
        'container.name': name,
        'container.image.name': DOCKER_IMAGE_NAME,
        'container.image.tags': [DOCKER_IMAGE_TAG],
        'container.runtime.name': 'docker',
        'container.runtime.version': version,
        'fdspan.oci.runtime': 'runc',
        ...cgroup2Of(await readFile(`/proc/${pid}/cgroup`, 'utf8')),
      };
      containers.push({ marker: name, id, processFolder: `/proc/${pid}`, expected, labels });
    }
    return { containers, runtimes: onlyAsk({ docker: daemon.socketPath }), startCollector: runHere };
  },
};

export const MACHINE_CELLS: readonly Cell[] = [docker];
