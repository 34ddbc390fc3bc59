// The keys below `limits`: every bound that a user may move.
import * as format from './formats.ts';
import type { Key } from './key.ts';

/** Reason: a longer wait is a mistake, and setTimeout itself ends at 24 days. */
const HOUR_MS = 3_600_000;

/** By dotted path, in the order of config/default.yaml. */
export const LIMIT_KEYS: Readonly<Record<string, Key>> = {
  'limits.open_files': {
    doc: 'Files that are open at once; 448 bytes of kernel memory each.',
    default: 262144,
    format: format.integer(64, 16777216),
  },
  'limits.ring': {
    doc: 'Bytes between kernel and user space.',
    default: '8MiB',
    format: format.bytes(4096, 1 << 30, true),
  },
  'limits.containers': {
    doc: "Containers at once, a quarter of them one user's, or in one container; for their metrics 2 KiB of kernel memory each.",
    default: 4096,
    format: format.integer(1, 65536),
  },
  'limits.waiting_records': {
    doc: 'Records that wait for a verdict.',
    default: 65536,
    format: format.integer(1, 16777216),
  },
  'limits.metadata_wait': {
    doc: 'How long the first records of a new container wait for what its runtime says.',
    default: '1s',
    format: format.durationBetween(0, 60_000),
  },
  'limits.stop_deadline': {
    doc: 'Time to send what is left at stop.',
    default: '10s',
    format: format.durationBetween(0, HOUR_MS),
  },
  'limits.stop_spans': {
    doc: 'Open files that are sent at stop, oldest first; 0: all.',
    default: 10000,
    format: format.integer(0, 16777216),
  },
};
