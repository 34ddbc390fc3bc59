// Makes and removes control groups as fast as the kernel allows, on a thread of its own: what a hostile or broken host
// does to a collector that judges each of them.
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { findHierarchy } from './cgroup.ts';

export interface Churn {
  /** Groups that came and went. */
  readonly groups: number;
  readonly seconds: number;
}

/** Every kind of group that is told apart: containers, services, names of bare runtimes, pods, and groups inside. */
const KINDS: readonly ((id: string, index: number) => readonly string[])[] = [
  (id) => [`docker-${id}.scope`],
  (_id, index) => [`churn-${index}.service`],
  (id) => [`bare-${id.slice(0, 12)}`],
  (id) => [`libpod-${id}.scope`, `libpod-${id}.scope/container`],
  (id) => [`crio-${id}.scope`],
];

/** Resolves when `rounds` of every kind have come and gone below a parent of its own, which is removed. */
export function churnGroups(rounds: number): Promise<Churn> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { rounds } });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

function churn(rounds: number): Churn {
  const mount = findHierarchy('v2');
  if (mount === null) throw new Error('no v2 hierarchy of control groups is mounted');
  const parent = join(mount, `fdspan-test-${randomBytes(6).toString('hex')}`);
  const begunMs = performance.now();
  let groups = 0;
  mkdirSync(parent);
  try {
    for (let round = 0; round < rounds; round++) {
      for (const kind of KINDS) {
        const paths = kind(randomBytes(32).toString('hex'), round).map((path) => join(parent, path));
        for (const path of paths) mkdirSync(path);
        for (const path of paths.toReversed()) rmdirSync(path);
        groups += paths.length;
      }
    }
  } finally {
    rmdirSync(parent);
  }
  return { groups, seconds: (performance.now() - begunMs) / 1000 };
}

if (!isMainThread) parentPort?.postMessage(churn((workerData as { readonly rounds: number }).rounds));
