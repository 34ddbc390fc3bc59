// Looks through the trees of the watched hierarchies, while groups come and go. A look that runs already may have passed
// the place that somebody asks about, so it doesn't count for them; the next one serves all who ask meanwhile. Between
// two looks is a pause: whoever may make groups can make looks necessary without end.
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { scanTree } from './cgroup-tree.ts';
import type { FoundScope } from './found-scope.ts';
import { scopeOfCgroup, type CgroupVersion } from './scope.ts';

/** Reason: records wait for the next look, and a host with 10,000 groups takes half a second of this thread for one. */
const PAUSE_MS = 1000;
/** Groups that are told of in one turn. Reason: each may cost 24 looks for a state, 0.1 ms; the pump waits for buffers. */
const GROUPS_A_TURN = 256;

export interface TreeScansOptions {
  readonly hierarchies: readonly { readonly mountPoint: string; readonly version: CgroupVersion }[];
  /** Told of every group, parents first, and whether what was decided of it may be decided anew. */
  readonly found: (found: FoundScope, mayDecideAnew: boolean) => void;
  /** More groups are there than one look takes. */
  readonly leftOut: (groups: number) => void;
  /** Default: {@link PAUSE_MS}. */
  readonly pauseMs?: number;
}

export interface TreeScan {
  readonly scopes: ReadonlySet<bigint>;
  /** Whether a scope that isn't in `scopes` is gone. */
  readonly isWhole: boolean;
}

export class TreeScans {
  readonly #options: TreeScansOptions;
  #last: Promise<unknown> = Promise.resolve();
  #next: Promise<TreeScan> | null = null;
  #nextMayDecideAnew = false;
  /** Heard to be removed during the look: what it says of them is old. null: no look runs, which can take days. */
  #removedMeanwhile: Set<bigint> | null = null;
  readonly #pauses = new AbortController();

  constructor(options: TreeScansOptions) {
    this.#options = options;
  }

  /**
   * Looks at what is there after this call. Rejects where a hierarchy's mount point can't be read. `mayDecideAnew` false: a
   * look that anybody can make necessary, and so must be cheap; it is not when another asks at the same time.
   */
  scan(mayDecideAnew = true): Promise<TreeScan> {
    this.#nextMayDecideAnew ||= mayDecideAnew;
    this.#next ??= this.#last.then(() => {
      this.#next = null;
      const scan = this.#scan(this.#nextMayDecideAnew);
      this.#nextMayDecideAnew = false;
      this.#last = this.#pauseAfter(scan);
      return scan;
    });
    return this.#next;
  }

  /** Looks that wait begin now, and no later one waits. */
  endPauses(): void {
    this.#pauses.abort();
  }

  /** At least as long as the look took: a host whose tree takes seconds is looked at half of the time at most. */
  async #pauseAfter(scan: Promise<unknown>): Promise<void> {
    const begunMs = performance.now();
    await scan.catch(() => {});
    const pauseMs = Math.max(this.#options.pauseMs ?? PAUSE_MS, performance.now() - begunMs);
    await sleep(pauseMs, undefined, { signal: this.#pauses.signal, ref: false }).catch(() => {});
  }

  /** A group went: a look that runs must not find it again. */
  removed(scope: bigint): void {
    this.#removedMeanwhile?.add(scope);
  }

  async #scan(mayDecideAnew: boolean): Promise<TreeScan> {
    const removed = new Set<bigint>();
    this.#removedMeanwhile = removed;
    try {
      return await this.#lookThrough(removed, mayDecideAnew);
    } finally {
      this.#removedMeanwhile = null;
    }
  }

  async #lookThrough(removed: ReadonlySet<bigint>, mayDecideAnew: boolean): Promise<TreeScan> {
    const { hierarchies, found, leftOut } = this.#options;
    const scopes = new Set<bigint>();
    let isWhole = true;
    let told = 0;
    for (const { mountPoint, version } of hierarchies) {
      const scan = await scanTree(mountPoint);
      for (const { id, path } of scan.groups) {
        const scope = scopeOfCgroup(id, version);
        if (told++ % GROUPS_A_TURN === GROUPS_A_TURN - 1) await nextTurn();
        if (removed.has(scope)) continue;
        scopes.add(scope);
        found({ scope, path, version }, mayDecideAnew);
      }
      if (scan.leftOut === 0) continue;
      isWhole = false;
      leftOut(scan.leftOut);
    }
    return { scopes, isWhole };
  }
}
