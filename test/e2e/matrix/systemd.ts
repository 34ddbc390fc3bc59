// Cells on a host with a booted systemd, hybrid or unified: the runtimes with their default places, fdspan as its unit.
import type { Cell } from './cell.ts';
import { bare } from './systemd/bare.ts';
import { containerd } from './systemd/containerd.ts';
import { docker } from './systemd/docker.ts';
import { cellOf, type Part } from './systemd/host.ts';
import { lxc, nspawn } from './systemd/machines.ts';
import { podman } from './systemd/podman.ts';

const parts: readonly Part[] = [
  ...(['cgroupfs', 'systemd'] as const).flatMap((groups) => [
    docker(groups),
    podman('runc', groups),
    podman('crun', groups),
    bare('runc', groups),
    bare('crun', groups),
    containerd(groups),
  ]),
  lxc,
  nspawn,
];

/** What shares its groups has namespaces of its own. */
const byNamespace = parts
  .filter(({ limit }) => limit !== undefined)
  .map(({ limit: _, ...part }): Part => ({ ...part, scopeBy: 'mntns' }));

export const SYSTEMD_CELLS: readonly Cell[] = [
  ...[...parts, ...byNamespace].map((part) => cellOf('hybrid', part)),
  ...parts.map((part) => cellOf('unified', part)),
];
