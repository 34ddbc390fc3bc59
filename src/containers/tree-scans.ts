// Looks through the trees of the watched hierarchies, while groups come and go. A look that runs already may have passed
// the place that somebody asks about, so it doesn't count for them; the next one serves all who ask meanwhile.
import { scanTree } from './cgroup-tree.ts';
import type { FoundScope } from './found-scope.ts';
import { scopeOfCgroup, type CgroupVersion } from './scope.ts';

export interface TreeScansOptions {
  readonly hierarchies: readonly { readonly mountPoint: string; readonly version: CgroupVersion }[];
  /** Told of every group, parents first. */
  readonly found: (found: FoundScope) => void;
  /** More groups are there than one look takes. */
  readonly leftOut: (groups: number) => void;
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
  /** Heard to be removed during the look: what it says of them is old. null: no look runs, which can take days. */
  #removedMeanwhile: Set<bigint> | null = null;

  constructor(options: TreeScansOptions) {
    this.#options = options;
  }

  /** Looks at what is there after this call. Rejects where a hierarchy's mount point can't be read. */
  scan(): Promise<TreeScan> {
    this.#next ??= this.#last.then(() => {
      this.#next = null;
      const scan = this.#scan();
      this.#last = scan.catch(() => {});
      return scan;
    });
    return this.#next;
  }

  /** A group went: a look that runs must not find it again. */
  removed(scope: bigint): void {
    this.#removedMeanwhile?.add(scope);
  }

  async #scan(): Promise<TreeScan> {
    const removed = new Set<bigint>();
    this.#removedMeanwhile = removed;
    try {
      return await this.#lookThrough(removed);
    } finally {
      this.#removedMeanwhile = null;
    }
  }

  async #lookThrough(removed: ReadonlySet<bigint>): Promise<TreeScan> {
    const { hierarchies, found, leftOut } = this.#options;
    const scopes = new Set<bigint>();
    let isWhole = true;
    for (const { mountPoint, version } of hierarchies) {
      const scan = await scanTree(mountPoint);
      for (const { id, path } of scan.groups) {
        const scope = scopeOfCgroup(id, version);
        if (removed.has(scope)) continue;
        scopes.add(scope);
        found({ scope, path, version });
      }
      if (scan.leftOut === 0) continue;
      isWhole = false;
      leftOut(scan.leftOut);
    }
    return { scopes, isWhole };
  }
}
