// What makes up for records about groups that were lost, as the ring was full: groups that nothing was heard of, groups
// that went unheard, and containers that nothing was told of. On the main thread.
import type { PolicyTable } from './policy-table.ts';
import type { TreeScans } from './tree-scans.ts';

/** Reason: a pair of a group that went can come late only by what the ring and the waiting records hold. */
const STRANGER_KEEP_MS = 30_000;

export interface LostScopesOptions {
  readonly policy: PolicyTable;
  readonly scans: Pick<TreeScans, 'scan'>;
  /** Whether the registry knows the group. */
  readonly isKnown: (scope: bigint) => boolean;
  /** A group went, and nobody told. */
  readonly removed: (scope: bigint) => void;
  /** Its records wait for a verdict that nobody else will tell. */
  readonly ignored: (scope: bigint) => void;
  /** Nothing of the group will come any more. */
  readonly forgotten: (scope: bigint) => void;
  /** Makes the kernel tell of the containers again that it couldn't tell of. */
  readonly describe: () => Promise<void>;
  readonly failed: (error: unknown) => void;
}

export class LostScopes {
  readonly #options: LostScopesOptions;
  /** Groups that were asked about after they went, and when. */
  readonly #strangers = new Map<bigint, number>();
  #recordsLost = 0;

  constructor(options: LostScopesOptions) {
    this.#options = options;
  }

  /** There are records of a scope that nothing is known of: looks for its group, and ignores it when it isn't there. */
  async unknown(scope: bigint, nowMs: number): Promise<void> {
    const { policy, scans, isKnown, ignored } = this.#options;
    // The kernel traces it, so it must be told when that is wrong.
    policy.hold(scope);
    const { scopes } = await scans.scan();
    if (isKnown(scope)) return;
    if (!scopes.has(scope)) {
      policy.forget(scope);
      this.#strangers.set(scope, nowMs);
    }
    ignored(scope);
  }

  /** Forgets what went long ago, and looks again where more records were lost. `nowMs` is any clock that only grows. */
  tick(nowMs: number, recordsLost: number, hasGroups: boolean): void {
    for (const [scope, askedAtMs] of this.#strangers) {
      if (nowMs - askedAtMs < STRANGER_KEEP_MS) break;
      this.#strangers.delete(scope);
      this.#options.forgotten(scope);
    }
    if (recordsLost === this.#recordsLost) return;
    this.#recordsLost = recordsLost;
    this.#makeUp(hasGroups).catch((error: unknown) => this.#options.failed(error));
  }

  async #makeUp(hasGroups: boolean): Promise<void> {
    if (hasGroups) await this.#reconcile();
    await this.#options.describe();
  }

  /** Finds the groups that nothing was heard of, and those that went unheard. */
  async #reconcile(): Promise<void> {
    const { policy, scans, removed } = this.#options;
    const known = policy.there();
    const { scopes, isWhole } = await scans.scan();
    if (!isWhole) return;
    for (const scope of known) if (!scopes.has(scope)) removed(scope);
  }
}
