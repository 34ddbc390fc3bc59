// What the tests of nested containers compare: whose the files of a marker are, and in which namespaces.
import assert from 'node:assert/strict';
import { readlink } from 'node:fs/promises';
import type { OtlpReceiver } from '../helpers/otlp-receiver.ts';
import { OPENS } from './matrix/cell.ts';

export const NAMESPACES = ['mnt', 'pid', 'uts', 'net', 'ipc', 'user', 'cgroup'];

/** The number in the text of a namespace's link. */
export function namespaceNumber(link: string): number {
  return Number(/\[(\d+)\]$/.exec(link)?.[1]);
}

/** The namespaces of a process, as attributes; `folder` is its folder in /proc. */
export async function namespacesOf(folder: string): Promise<Record<string, number>> {
  const entries = NAMESPACES.map(async (name) => {
    const link = await readlink(`${folder}/ns/${name}`);
    return [`fdspan.ns.${name}`, namespaceNumber(link)] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

/** All files of one marker are of one container with these attributes. */
export function checkFiles(receiver: OtlpReceiver, marker: string, expected: Record<string, unknown>): void {
  const own = receiver.spans.filter(({ span }) => {
    const path = span.attributes['file.path'];
    return typeof path === 'string' && path.startsWith(`/tmp/${marker}-`);
  });
  assert.deepEqual(
    own.map(({ span }) => span.attributes['file.path']),
    Array.from({ length: OPENS }, (_, index) => `/tmp/${marker}-${index}`),
  );
  for (const { span, resource } of own) {
    assert.equal(span.attributes['fdspan.phase'], 'container');
    const told = Object.fromEntries(Object.keys(expected).map((key) => [key, resource.attributes[key]]));
    assert.deepEqual(told, expected, marker);
  }
}
