// Reads the kernel's table of pending opens in place. Only while nothing is attached: then it stands still.
import * as layout from '../model/record-layout.ts';
import { viewMemory } from './libbpf.ts';

/**
 * Returns the boot time (ns) until which the `count` oldest pending opens were opened. Equal times may
 * let a few more through.
 */
export function oldestBootNs(
  slots: { readonly address: bigint; readonly bytes: number },
  count: number,
): bigint {
  const memory = viewMemory(slots.address, slots.bytes);
  const view = new DataView(memory);
  const opened = new BigUint64Array(slots.bytes / layout.SLOT_BYTES);
  let used = 0;
  for (let slot = 0; slot < slots.bytes; slot += layout.SLOT_BYTES) {
    const record = slot + layout.PENDING_OPEN_RECORD;
    const isPending =
      view.getUint8(record + layout.PAIR_RECORD_KIND) === layout.RECORD_PAIR &&
      view.getUint8(record + layout.PAIR_RECORD_REASON) === layout.CLOSE_FAILED;
    if (isPending) opened[used++] = view.getBigUint64(record + layout.PAIR_RECORD_OPENED_BOOT_NS, true);
  }
  const sorted = opened.subarray(0, used).sort();
  return sorted[Math.min(count, used) - 1] ?? 0n;
}
