// What the registry is given, and whom it tells.
import type { JudgeListener, JudgeOptions } from './container-judge.ts';
import type { GroupProofs } from './container-of-group.ts';

/** `unjudged`: traced, and its records wait. */
export type RegistryVerdict = 'trace' | 'deny' | 'ignore' | 'unjudged';

export interface RegistryListener extends JudgeListener {
  /** `slot`: of a container that is traced, or was before it was denied; else 0. `containerScope` is the container's own group where it is known. */
  scope(scope: bigint, verdict: RegistryVerdict, slot: number, containerScope: bigint): void;
  scopeGone(scope: bigint): void;
  /** A container is over and runs again under its name, as another one: what was counted for it ends here. */
  containerReplaced?(slot: number): void;
}

export interface RegistryOptions extends JudgeOptions, GroupProofs {
  /** How long scope and slot are kept after the group went: records may still wait. */
  readonly keepAfterExitMs: number;
  readonly listener: RegistryListener;
  /**
   * What is told of a container that there is no place for, which no rule has judged; left out: `ignore`. Where the host is
   * traced too, what is ignored is the host's.
   */
  readonly noPlaceVerdict?: 'ignore' | 'deny';
  /** Whether the kernel traces nothing of a container before it has described it: then its verdict waits for that. */
  readonly waitsForDescription?: boolean;
}

/** What the registry can't do itself. */
export interface RegistryNeeds {
  /** There may be a place for groups that were ignored: the tree has to be looked through. */
  readonly look: boolean;
  /** A container that was denied is traced now: the kernel has to describe it. */
  readonly description: boolean;
}
