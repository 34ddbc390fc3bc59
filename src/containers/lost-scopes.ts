// What makes up for records about groups that were lost, as the ring was full or too many waited: groups that nothing
// was heard of, groups that went unheard, and containers that nothing was told of. On the main thread.
import type { PolicyTable } from './policy-table.ts';
import type { TreeScans } from './tree-scans.ts';

export interface LostScopesOptions {
  readonly policy: PolicyTable;
  readonly scans: Pick<TreeScans, 'scan'>;
  /** Whether the registry knows the group. */
  readonly isKnown: (scope: bigint) => boolean;
  /** A group went, and nobody told. */
  readonly removed: (scope: bigint) => void;
  /** Its records wait for a verdict that nobody else will tell. */
  readonly ignored: (scope: bigint) => void;
  /** Makes the kernel tell of the containers again that it couldn't tell of. */
  readonly describe: () => Promise<void>;
  readonly failed: (error: unknown) => void;
}

export class LostScopes {
  readonly #options: LostScopesOptions;
  /** The next look answers them. The pump asks of so many at once as its table has places for those that wait. */
  readonly #asked = new Set<bigint>();
  #looking: Promise<void> | null = null;
  #recordsLost = 0;

  constructor(options: LostScopesOptions) {
    this.#options = options;
  }

  /**
   * There are records of a scope that nothing is known of: looks for its group, and ignores it when it isn't there. One
   * look, which may have to wait for its turn, serves all that were asked about before it.
   */
  unknown(scope: bigint): Promise<void> {
    // The kernel traces it, so it must be told when that is wrong.
    this.#options.policy.hold(scope);
    this.#asked.add(scope);
    this.#looking ??= this.#look().finally(() => (this.#looking = null));
    return this.#looking;
  }

  /** The group went: if records of it wait, they are asked about again, and known for a stranger's. */
  forget(scope: bigint): void {
    this.#asked.delete(scope);
  }

  /** Looks again where more records were lost. `recordsLost` only grows. */
  tick(recordsLost: number, hasGroups: boolean): void {
    if (recordsLost === this.#recordsLost) return;
    this.#recordsLost = recordsLost;
    this.#makeUp(hasGroups).catch((error: unknown) => this.#options.failed(error));
  }

  async #look(): Promise<void> {
    while (this.#asked.size > 0) {
      const before = new Set(this.#asked);
      const { scopes } = await this.#options.scans.scan(false);
      for (const scope of this.#asked) {
        // A group that was asked about later may have been passed by: the next look answers it.
        if (!before.has(scope) && !scopes.has(scope)) continue;
        this.#asked.delete(scope);
        this.#answer(scope, scopes);
      }
    }
  }

  #answer(scope: bigint, scopes: ReadonlySet<bigint>): void {
    const { policy, isKnown, ignored } = this.#options;
    if (isKnown(scope)) return;
    if (!scopes.has(scope)) policy.forget(scope);
    ignored(scope);
  }

  async #makeUp(hasGroups: boolean): Promise<void> {
    if (hasGroups) await this.#reconcile();
    await this.#options.describe();
  }

  /** Finds the groups that nothing was heard of, and those that went unheard. */
  async #reconcile(): Promise<void> {
    const { policy, scans, removed } = this.#options;
    const known = policy.there();
    const { scopes, isWhole } = await scans.scan(false);
    if (!isWhole) return;
    for (const scope of known) if (!scopes.has(scope)) removed(scope);
  }
}
