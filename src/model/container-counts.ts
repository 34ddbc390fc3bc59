// What is counted for each container, as 64-bit numbers in the order of the kernel's struct container_metrics.
import type { Attributes } from './attributes.ts';
import * as layout from './record-layout.ts';

/** One number for each 64-bit word of the struct (exact up to 2^53). */
export type Counts = Float64Array;

export const COUNTS = layout.CONTAINER_METRICS_BYTES / 8;
export const OPENS = layout.CONTAINER_METRICS_OPENS / 8;
export const FAILURES = layout.CONTAINER_METRICS_FAILURES / 8;
export const DURATIONS = layout.CONTAINER_METRICS_DURATIONS / 8;
export const DURATION_NS = layout.CONTAINER_METRICS_DURATION_NS / 8;
export const FILES_MET = layout.CONTAINER_METRICS_FILES_MET / 8;

/** Values of fdspan.access, by enum access_kind. */
export const ACCESSES = ['read', 'write', 'read_write', 'none', 'path'] as const;

/**
 * Failures that are counted by their own name, from class 1 on; class 0 is any other. All that open(2) and openat2(2)
 * name, and what seccomp and network file systems give.
 */
export const FAILURE_NAMES = [
  'EPERM',
  'ENOENT',
  'EINTR',
  'EIO',
  'ENXIO',
  'EBADF',
  'EAGAIN',
  'ENOMEM',
  'EACCES',
  'EFAULT',
  'EBUSY',
  'EEXIST',
  'EXDEV',
  'ENODEV',
  'ENOTDIR',
  'EISDIR',
  'EINVAL',
  'ENFILE',
  'EMFILE',
  'ETXTBSY',
  'EFBIG',
  'ENOSPC',
  'EROFS',
  'ENAMETOOLONG',
  'ENOSYS',
  'ELOOP',
  'EOVERFLOW',
  'EOPNOTSUPP',
  'ETIMEDOUT',
  'ESTALE',
  'EDQUOT',
] as const;

/** error.type of an errno without a name here: the semantic conventions' fallback. */
export const OTHER_FAILURE = '_OTHER';

/** Upper bounds (inclusive) of the histogram of open durations, in seconds; the last bucket has none. */
export const DURATION_BOUNDS_S = [
  0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 10, 60, 600, 3600,
] as const;

/** A container's numbers, as they are sent. */
export interface CountedContainer {
  /** Of its spans' resource. */
  readonly attributes: Attributes;
  /** When counting began. */
  readonly startUnixMs: number;
  readonly counts: Counts;
  /** Files that are open now. */
  readonly filesOpen: number;
}
