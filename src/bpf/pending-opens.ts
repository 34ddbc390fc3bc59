// Reads the kernel's table of pending opens in place. Only while nothing is attached: then it stands still.
import * as layout from '../model/record-layout.ts';
import { viewMemory } from './libbpf.ts';
import { mapShared, unmap } from './libc.ts';

/** Which pending opens are sent at their end, whatever was drawn at their open (sampling.keep). */
export interface KeptAtEnd {
  /** Those that were reported as held. */
  readonly isHeldKept: boolean;
  /** Those that were opened until then; null: none. */
  readonly slowUntilBootNs: bigint | null;
}

/**
 * Returns the boot time (ns) until which the `count` oldest pending opens that will be sent were opened; `fd` is that of the map `slots`.
 * Equal times may let a few more through. Mapped for the look only: every page of the table would count as fdspan's
 * memory.
 */
export function oldestBootNs(fd: number, slots: number, count: number, kept: KeptAtEnd): bigint {
  const bytes = slots * layout.SLOT_BYTES;
  const address = mapShared(fd, bytes, 0, false);
  try {
    return oldestIn(viewMemory(address, bytes), count, kept);
  } finally {
    unmap(address, bytes);
  }
}

function oldestIn(memory: ArrayBuffer, count: number, kept: KeptAtEnd): bigint {
  const view = new DataView(memory);
  const opened = new BigUint64Array(memory.byteLength / layout.SLOT_BYTES);
  let used = 0;
  for (let slot = 0; slot < memory.byteLength; slot += layout.SLOT_BYTES) {
    const record = slot + layout.PENDING_OPEN_RECORD;
    if (view.getUint8(record + layout.PAIR_RECORD_KIND) !== layout.RECORD_PAIR) continue;
    const openedBootNs = view.getBigUint64(record + layout.PAIR_RECORD_OPENED_BOOT_NS, true);
    const isSampled = (view.getUint16(record + layout.PAIR_RECORD_FLAGS, true) & layout.PAIR_UNSAMPLED) === 0;
    const reportedBootNs = view.getBigUint64(slot + layout.PENDING_OPEN_REPORTED_BOOT_NS, true);
    if (isSampled || isKept(openedBootNs, reportedBootNs, kept)) opened[used++] = openedBootNs;
  }
  const sorted = opened.subarray(0, used).sort();
  return sorted[Math.min(count, used) - 1] ?? 0n;
}

function isKept(
  openedBootNs: bigint,
  reportedBootNs: bigint,
  { isHeldKept, slowUntilBootNs }: KeptAtEnd,
): boolean {
  return (
    (isHeldKept && reportedBootNs > openedBootNs) ||
    (slowUntilBootNs !== null && openedBootNs <= slowUntilBootNs)
  );
}
