// The names that appeared in bare runtimes' state folders: kept for a while, as a container may be over before its
// group is heard of. What the kernel's watch tells doesn't get lost meanwhile.
import { statSync, watch, type FSWatcher } from 'node:fs';

/** Reason: 1,000 containers that start together; the oldest is forgotten, and then found only while its state is there. */
const NAMES_MAX = 4096;
/** Reason: as late as a busy collector may hear of a group. Longer, and a group of the host could pass for a namesake's. */
const KEPT_MS = 10_000;

export class RecentStates {
  readonly #folders: readonly string[];
  readonly #watches = new Map<string, { readonly watcher: FSWatcher; readonly inode: number }>();
  readonly #seenMs = new Map<string, number>();

  constructor(folders: readonly string[]) {
    this.#folders = folders;
    this.watchNew();
  }

  /** Watches the folders that are new: a runtime makes its own at its first container, and it may go again. */
  watchNew(): void {
    for (const folder of this.#folders) {
      const inode = statSync(folder, { throwIfNoEntry: false })?.ino;
      if (this.#watches.get(folder)?.inode === inode) continue;
      this.#unwatch(folder);
      if (inode !== undefined) this.#watch(folder, inode);
    }
  }

  /** Whether a state of this path was seen to appear just now. */
  has(place: string): boolean {
    return performance.now() - (this.#seenMs.get(place) ?? -Infinity) < KEPT_MS;
  }

  close(): void {
    for (const folder of this.#folders) this.#unwatch(folder);
  }

  #watch(folder: string, inode: number): void {
    try {
      const watcher = watch(folder, { persistent: false }, (_event, name) => {
        if (name !== null) this.#note(`${folder}/${name}`);
      });
      watcher.on('error', () => this.#unwatch(folder));
      this.#watches.set(folder, { watcher, inode });
    } catch {
      // Gone again, or not to be watched: then only what is there counts.
    }
  }

  #unwatch(folder: string): void {
    this.#watches.get(folder)?.watcher.close();
    this.#watches.delete(folder);
  }

  /** A removal is noted too: it tells no less of a container that was there. */
  #note(place: string): void {
    this.#seenMs.delete(place);
    this.#seenMs.set(place, performance.now());
    if (this.#seenMs.size <= NAMES_MAX) return;
    const [oldest] = this.#seenMs.keys();
    this.#seenMs.delete(oldest);
  }
}
