// The state files of four runtimes, damaged in any way, and what must hold of what is read from them.
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { containerdState } from '../../src/containers/runtimes/containerd-state.ts';
import { crunState } from '../../src/containers/runtimes/crun-state.ts';
import { podmanState } from '../../src/containers/runtimes/podman-state.ts';
import { runcState } from '../../src/containers/runtimes/runc-state.ts';
import {
  LABEL_BYTES_MAX,
  NAME_BYTES_MAX,
  type RuntimeSource,
} from '../../src/containers/runtimes/runtime-source.ts';
import { StateFileError } from '../../src/containers/runtimes/state/state-file.ts';

const OWN = process.getuid?.() ?? 0;
const ID = 'c3'.repeat(32);
const QUESTION = { id: ID, cgroupPath: `/docker/${ID}` };

const ANNOTATIONS = {
  'io.container.manager': 'cri-o',
  'io.kubernetes.cri-o.ContainerType': 'container',
  'io.kubernetes.cri-o.ImageName': 'registry.example/a/b:1@sha256:00',
  'io.kubernetes.cri-o.Labels': '{"io.kubernetes.pod.name":"p","io.kubernetes.pod.uid":"u"}',
  'io.kubernetes.cri-o.Annotations': '{"io.kubernetes.container.restartCount":"3"}',
  'io.kubernetes.pod.namespace': 'n',
  'io.kubernetes.cri.container-type': 'sandbox',
  'io.kubernetes.cri.sandbox-name': 'p',
  'org.opencontainers.image.ref.name': 'a/b:1',
};
const CONFIG = {
  annotations: ANNOTATIONS,
  process: { env: ['A=b', 'OTEL_SERVICE_NAME=shop'] },
  linux: { cgroupsPath: QUESTION.cgroupPath },
};

export interface StateCase {
  readonly name: string;
  readonly source: (folder: string) => RuntimeSource;
  /** Valid content by path below the folder. */
  readonly files: Readonly<Record<string, unknown>>;
}

const owned = (path: string) => ({ folders: [{ path, ownerUid: OWN }] });

export const STATE_CASES: readonly StateCase[] = [
  {
    name: 'runc',
    source: (folder) => runcState(owned(folder)),
    files: {
      [`${ID}/state.json`]: {
        id: ID,
        cgroup_paths: { '': `/sys/fs/cgroup${QUESTION.cgroupPath}` },
        config: { labels: ['a=b', 'io.container.manager=libpod', 'bundle=/nowhere'], env: ['A=b'] },
      },
    },
  },
  {
    name: 'crun',
    source: (folder) => crunState(owned(folder)),
    files: { [`${ID}/status`]: { 'cgroup-path': QUESTION.cgroupPath }, [`${ID}/config.json`]: CONFIG },
  },
  {
    name: 'containerd',
    source: (folder) => containerdState(owned(folder)),
    files: {
      [`io.containerd.runtime.v2.task/k8s.io/${ID}/config.json`]: CONFIG,
      [`io.containerd.runtime.v2.task/k8s.io/${ID}/options.json`]: { binary_name: '/usr/bin/runc' },
    },
  },
  {
    name: 'podman',
    source: (folder) =>
      podmanState({ storages: [{ graphRoot: folder, runRoot: `${folder}/run`, ownerUid: OWN }] }),
    files: {
      'overlay-containers/containers.json': [{ id: ID, names: ['web'], metadata: '{"image-name":"a/b:1"}' }],
      [`overlay-containers/${ID}/userdata/config.json`]: CONFIG,
    },
  },
];

/** The value with one of its members, at any depth, replaced. */
function replaced(value: unknown, path: readonly number[], by: unknown): unknown {
  if (path.length === 0 || typeof value !== 'object' || value === null) return by;
  const keys = Object.keys(value);
  if (keys.length === 0) return by;
  const key = keys[path[0] % keys.length];
  const copy: any = Array.isArray(value) ? [...value] : { ...value };
  copy[key] = replaced(copy[key], path.slice(1), by);
  return copy;
}

const odd = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom(
    'x'.repeat(5000),
    '\ud800',
    '/',
    '..',
    '',
    'a=',
    '='.repeat(99),
    '{',
    '[]',
    '9'.repeat(400),
  ),
);
const change = fc.record({ path: fc.array(fc.nat(20), { maxLength: 4 }), by: odd });
type Change = { readonly path: readonly number[]; readonly by: unknown };

/** What is done to one of a case's files: members are replaced, or all of it is. */
export interface Damage {
  /** Which file, modulo their number. */
  readonly file: number;
  readonly changes: readonly Change[];
  /** In place of the file, cut from anywhere of it; left out: the changes alone. */
  readonly bytes: Uint8Array | null;
}

export const stateDamage: fc.Arbitrary<Damage> = fc.record({
  file: fc.nat({ max: 3 }),
  changes: fc.array(change, { minLength: 1, maxLength: 3 }),
  bytes: fc.option(fc.uint8Array({ maxLength: 300 }), { freq: 4 }),
});

/** Asserts that all texts of a look-up's result can be sent and are within their bounds. */
export function assertBounded(value: unknown, depth = 0): void {
  if (value instanceof Map) {
    let bytes = 0;
    for (const [key, label] of value) {
      assert.ok(key.isWellFormed() && label.isWellFormed());
      bytes += Buffer.byteLength(key) + Buffer.byteLength(label);
    }
    assert.ok(bytes <= LABEL_BYTES_MAX);
  } else if (typeof value === 'string') {
    assert.ok(value !== '' && Buffer.byteLength(value) <= NAME_BYTES_MAX && value.isWellFormed());
  } else if (typeof value === 'number') {
    assert.ok(Number.isSafeInteger(value));
  } else {
    assert.ok(typeof value === 'object' && value !== null && depth < 3, String(value));
    for (const member of Object.values(value)) assertBounded(member, depth + 1);
  }
}

/** Writes a case's files, and asserts that its container is found. */
export async function writeState({ source, files }: StateCase, folder: string): Promise<void> {
  for (const path of Object.keys(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), JSON.stringify(files[path]));
  }
  const valid = await source(folder).find(QUESTION, AbortSignal.timeout(10_000));
  assert.equal(valid?.id, ID, 'the unchanged state is found');
}

/** Damages one file, reads, and mends it; what is found is bounded text, and the only error is a StateFileError. */
export async function assertStateRead(
  { source, files }: StateCase,
  folder: string,
  { file, changes, bytes }: Damage,
): Promise<'found' | 'nothing' | 'refused'> {
  const path = Object.keys(files)[file % Object.keys(files).length];
  const changed = changes.reduce<unknown>((all, { path: at, by }) => replaced(all, at, by), files[path]);
  await writeFile(join(folder, path), bytes ?? JSON.stringify(changed) ?? '');
  try {
    const found = await source(folder).find(QUESTION, AbortSignal.timeout(10_000));
    if (found === null) return 'nothing';
    assertBounded(found);
    return 'found';
  } catch (error) {
    if (!(error instanceof StateFileError)) throw error;
    return 'refused';
  } finally {
    await writeFile(join(folder, path), JSON.stringify(files[path]));
  }
}
