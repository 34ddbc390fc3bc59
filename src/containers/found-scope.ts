// A control group that the scan or a record of the kernel told of.
import type { CgroupVersion } from './scope.ts';

export interface FoundScope {
  readonly scope: bigint;
  /** What the kernel let it inherit from; the scope itself, or left out, where nothing. */
  readonly containerScope?: bigint;
  /** From the hierarchy's root (latin1). */
  readonly path: string;
  readonly isPathTruncated?: boolean;
  readonly version: CgroupVersion;
}
