// The text of /proc/PID/cgroup: its lines, and which of them names the process's container.
import { containerOfPath, type ContainerPath } from './cgroup-path.ts';

/** One line: the hierarchy and the path of the process's group in it. */
export interface CgroupMembership {
  readonly kind: 'cgroup2' | 'cgroup1';
  /** v1 controllers, or `name=…` of a hierarchy without any; empty for v2. */
  readonly controllers: readonly string[];
  readonly path: string;
}

export interface ProcCgroup {
  readonly container: ContainerPath | null;
  /** The line that was taken; null when the text holds none. */
  readonly hierarchy: CgroupMembership | null;
}

/** Returns the lines of /proc/PID/cgroup. A line that is a path alone counts as one of v2. */
export function readMemberships(text: string): CgroupMembership[] {
  const memberships: CgroupMembership[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('/')) {
      memberships.push({ kind: 'cgroup2', controllers: [], path: line });
      continue;
    }
    // A path may hold colons itself: only the first two part the fields.
    const first = line.indexOf(':');
    const second = first === -1 ? -1 : line.indexOf(':', first + 1);
    if (second === -1) continue;
    const names = line.slice(first + 1, second);
    const isUnified = names === '' && line.slice(0, first) === '0';
    memberships.push({
      kind: isUnified ? 'cgroup2' : 'cgroup1',
      controllers: names === '' ? [] : names.split(','),
      path: line.slice(second + 1),
    });
  }
  return memberships;
}

/**
 * Finds the container of a process from the text of its /proc/PID/cgroup (latin1).
 * The line with the most nested containers wins, v2 before v1, the first of equals. A guess in v1
 * counts only where a second hierarchy names the same path: a runtime enters all of them.
 */
export function parseProcCgroup(text: string): ProcCgroup {
  const memberships = readMemberships(text);
  const v1Paths = new Map<string, number>();
  for (const { kind, path } of memberships) {
    if (kind === 'cgroup1') v1Paths.set(path, (v1Paths.get(path) ?? 0) + 1);
  }
  const ordered = [
    ...memberships.filter(({ kind }) => kind === 'cgroup2'),
    ...memberships.filter(({ kind }) => kind === 'cgroup1'),
  ];
  let best: ContainerPath | null = null;
  let hierarchy: CgroupMembership | null = ordered[0] ?? null;
  for (const membership of ordered) {
    const container = containerOfPath(membership.path);
    if (container === null) continue;
    if (container.isGuess && membership.kind === 'cgroup1' && v1Paths.get(membership.path) === 1) continue;
    if (best === null || container.depth > best.depth) {
      best = container;
      hierarchy = membership;
    }
  }
  return { container: best, hierarchy };
}
