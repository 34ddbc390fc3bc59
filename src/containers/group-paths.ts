// The paths of control groups by their ids, where groups only name the containers of namespaces. Kept for some time
// after a group went: whoever was met in it is asked about later.
import { cgroupVersionOfScope } from './scope.ts';

/** Reason: as many groups as the scan lists. Overflow: such a group names nothing, and /proc is asked. */
const GROUPS_MAX = 65_536;
/** Reason: records of a process come within milliseconds; a main thread that is busy may be a second late. */
const KEEP_REMOVED_MS = 10_000;

export class GroupPaths {
  readonly #paths = new Map<bigint, string>();
  readonly #removed = new Map<bigint, number | null>();

  /** `path` is latin1, from the hierarchy's root. */
  add(scope: bigint, path: string): void {
    this.#removed.delete(scope);
    if (this.#paths.size < GROUPS_MAX) this.#paths.set(scope, path);
  }

  remove(scope: bigint): void {
    if (this.#paths.has(scope)) this.#removed.set(scope, null);
  }

  /** Forgets what went some time ago. `nowMs` is any clock that only grows. */
  tick(nowMs: number): void {
    for (const [scope, removedMs] of this.#removed) {
      if (removedMs === null) this.#removed.set(scope, nowMs);
      else if (nowMs - removedMs >= KEEP_REMOVED_MS) {
        this.#removed.delete(scope);
        this.#paths.delete(scope);
      }
    }
  }

  /** Returns what /proc/PID/cgroup would say of a process in these groups, as far as they are known. */
  textOf(groups: readonly bigint[], cgroup1Controller: string | null): string {
    const lines = groups.map((scope) => {
      const path = this.#paths.get(scope);
      if (path === undefined) return '';
      return cgroupVersionOfScope(scope) === 'v2' ? `0::${path}` : `1:${cgroup1Controller ?? ''}:${path}`;
    });
    return lines.join('\n');
  }
}
