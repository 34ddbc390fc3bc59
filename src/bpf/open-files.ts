// The pending opens of the kernel's table: listed for whoever asks, reported while they stay open, and given the times
// that an earlier fdspan knew. On the main thread, in portions.
import * as layout from '../model/record-layout.ts';
import type { BpfObject } from './bpf-object.ts';
import { portionsOf } from './iterator.ts';

/** Reason: 16,384 slots take about a millisecond, and the main thread must not be held. */
const PORTION_BUCKETS = 2048;
/** Reason: some 0.7 MB of records; the ring is drained before the next portion. */
const PORTION_REPORTS_MAX = 2048;
const NEVER = 0xffff_ffff_ffff_ffffn;

/** Programs that user space runs itself. */
export const OPEN_FILES_PROGRAMS = ['list_open_files', 'list_identities', 'restore_opens', 'report_held'];

/** One pending open, and what makes it recognizable in this boot. */
export interface OpenIdentity {
  readonly identity: bigint;
  readonly openedBootNs: bigint;
  /** Until when held reports told of it; the opening where none did. */
  readonly reportedBootNs: bigint;
  readonly slotIndex: number;
  readonly isAdopted: boolean;
}

export interface RestoredOpen {
  /** The listed one, and what was known of it before. */
  readonly adopted: OpenIdentity;
  readonly openedBootNs: bigint;
  readonly reportedBootNs: bigint;
  /** It was adopted then too: the time is still a lower bound. */
  readonly isAdopted: boolean;
}

export interface HeldLook {
  readonly afterNs: bigint;
  /** 0: no file is reported twice. */
  readonly everyNs: bigint;
}

export class OpenFiles {
  readonly #object: BpfObject;
  readonly #buckets: number;

  constructor(object: BpfObject, buckets: number) {
    this.#object = object;
    this.#buckets = buckets;
  }

  /** Yields entries of struct open_file, each with its record and names, in portions that are valid until the next one. */
  list(): AsyncGenerator<Buffer, void, void> {
    return portionsOf(this.#object, 'list_open_files', 'slots');
  }

  /** Sets the number that identities are hashed with; without one, none are told. */
  setIdentityKey(key: bigint): void {
    const value = Buffer.alloc(8);
    value.writeBigUInt64LE(key);
    this.#object.updateArray('identity_key', 0, value);
  }

  /** Yields what tells the pending opens apart, in portions. */
  async *identities(): AsyncGenerator<readonly OpenIdentity[], void, void> {
    for await (const portion of portionsOf(this.#object, 'list_identities', 'slots')) {
      const entries: OpenIdentity[] = [];
      for (let at = 0; at < portion.length; at += layout.OPEN_IDENTITY_BYTES)
        entries.push(identityAt(portion, at));
      yield entries;
    }
  }

  /** Gives adopted files their true times; returns how many were still there. */
  restore(opens: readonly RestoredOpen[]): number {
    let restored = 0;
    for (let first = 0; first < opens.length; first += layout.RESTORES_MAX)
      restored += this.#restorePortion(opens.slice(first, first + layout.RESTORES_MAX));
    return restored;
  }

  /**
   * Makes the reports that are due, `drained` being awaited after each portion. Returns when the next one is due, as
   * far as what is open now goes; null when the ring had no place, and the look was ended.
   */
  async report(look: HeldLook, drained: () => Promise<void>): Promise<bigint | null> {
    let dueBootNs = NEVER;
    for (let bucket = 0; bucket < this.#buckets;) {
      const portion = this.#reportPortion(look, bucket);
      if (portion.isFull) return null;
      if (portion.dueBootNs < dueBootNs) dueBootNs = portion.dueBootNs;
      const isWhole = portion.nextBucket >= Math.min(this.#buckets, bucket + PORTION_BUCKETS);
      bucket = portion.nextBucket;
      if (isWhole) await new Promise((resolve) => setImmediate(resolve));
      else await drained();
    }
    return dueBootNs;
  }

  #reportPortion(
    { afterNs, everyNs }: HeldLook,
    firstBucket: number,
  ): { readonly nextBucket: number; readonly dueBootNs: bigint; readonly isFull: boolean } {
    const held = Buffer.alloc(layout.HELD_ARGUMENTS_BYTES);
    held.writeBigUInt64LE(afterNs, layout.HELD_ARGUMENTS_AFTER_NS);
    held.writeBigUInt64LE(everyNs, layout.HELD_ARGUMENTS_EVERY_NS);
    held.writeUInt32LE(firstBucket, layout.HELD_ARGUMENTS_FIRST_BUCKET);
    held.writeUInt32LE(PORTION_BUCKETS, layout.HELD_ARGUMENTS_BUCKETS);
    held.writeUInt32LE(PORTION_REPORTS_MAX, layout.HELD_ARGUMENTS_REPORTS_MAX);
    this.#object.run('report_held', held);
    return {
      nextBucket: held.readUInt32LE(layout.HELD_ARGUMENTS_NEXT_BUCKET),
      dueBootNs: held.readBigUInt64LE(layout.HELD_ARGUMENTS_DUE_BOOT_NS),
      isFull: held.readUInt32LE(layout.HELD_ARGUMENTS_IS_FULL) !== 0,
    };
  }

  #restorePortion(opens: readonly RestoredOpen[]): number {
    const value = Buffer.alloc(layout.RESTORES_MAX * layout.OPEN_RESTORE_BYTES);
    opens.forEach(({ adopted, openedBootNs, reportedBootNs, isAdopted }, index) => {
      const at = index * layout.OPEN_RESTORE_BYTES;
      value.writeBigUInt64LE(adopted.openedBootNs, at + layout.OPEN_RESTORE_ADOPTED_BOOT_NS);
      value.writeBigUInt64LE(openedBootNs, at + layout.OPEN_RESTORE_OPENED_BOOT_NS);
      value.writeBigUInt64LE(reportedBootNs, at + layout.OPEN_RESTORE_REPORTED_BOOT_NS);
      value.writeUInt32LE(adopted.slotIndex, at + layout.OPEN_RESTORE_INDEX);
      value.writeUInt32LE(isAdopted ? 1 : 0, at + layout.OPEN_RESTORE_IS_ADOPTED);
    });
    this.#object.updateArray('restores', 0, value);
    const given = Buffer.alloc(layout.RESTORE_ARGUMENTS_BYTES);
    given.writeUInt32LE(opens.length, layout.RESTORE_ARGUMENTS_COUNT);
    this.#object.run('restore_opens', given);
    return given.readUInt32LE(layout.RESTORE_ARGUMENTS_RESTORED);
  }
}

function identityAt(bytes: Buffer, at: number): OpenIdentity {
  return {
    identity: bytes.readBigUInt64LE(at + layout.OPEN_IDENTITY_IDENTITY),
    openedBootNs: bytes.readBigUInt64LE(at + layout.OPEN_IDENTITY_OPENED_BOOT_NS),
    reportedBootNs: bytes.readBigUInt64LE(at + layout.OPEN_IDENTITY_REPORTED_BOOT_NS),
    slotIndex: bytes.readUInt32LE(at + layout.OPEN_IDENTITY_INDEX),
    isAdopted: (bytes.readUInt32LE(at + layout.OPEN_IDENTITY_FLAGS) & layout.PAIR_ADOPTED) !== 0,
  };
}
