// The maps of sampling, mapped on the main thread: how to sample, written in place, and the counts of each container's
// opens, read in place. No view may be used after `close`.
import * as layout from '../model/record-layout.ts';
import { SamplingWords } from '../model/sampling-words.ts';
import type { BpfObject } from './bpf-object.ts';
import { viewMemory } from './libbpf.ts';
import { mapShared, unmap } from './libc.ts';

const PAGE_BYTES = 4096;
const WORD_BYTES = 4;
const SLOT_BYTES = layout.SAMPLING_STRIPES * layout.SLOT_OFFERS_BYTES;

/** What was counted of one slot since the start. */
export interface SlotOffers {
  opens: number;
  /** What rules and ratio let through, in opens. */
  weight: number;
  passed: number;
}

export class SamplingMaps {
  readonly words: SamplingWords;
  readonly #offers: Uint32Array;
  readonly #mappings: { readonly address: bigint; readonly bytes: number }[] = [];

  /** Slots 0…slotsMax - 1; the maps must have been sized for them. */
  constructor(object: BpfObject, slotsMax: number) {
    const map = (name: string, bytes: number): Uint32Array => {
      const mapping = {
        address: mapShared(object.mapFd(name), pages(bytes), 0, true),
        bytes: pages(bytes),
      };
      this.#mappings.push(mapping);
      return new Uint32Array(viewMemory(mapping.address, bytes));
    };
    this.words = new SamplingWords(
      map('sampling', layout.SAMPLING_BYTES),
      map('slot_samplings', slotsMax * layout.SLOT_SAMPLING_BYTES),
    );
    this.#offers = map('slot_offers', slotsMax * SLOT_BYTES);
  }

  static setSizes(object: BpfObject, slotsMax: number): void {
    object.setMaxEntries('slot_samplings', slotsMax);
    object.setMaxEntries('slot_offers', slotsMax * layout.SAMPLING_STRIPES);
  }

  /** Reads the counts of a slot into `offers`. */
  read(slot: number, offers: SlotOffers): void {
    offers.opens = 0;
    offers.weight = 0;
    offers.passed = 0;
    for (let stripe = 0; stripe < layout.SAMPLING_STRIPES; stripe += 1) {
      const at = (slot * SLOT_BYTES + stripe * layout.SLOT_OFFERS_BYTES) / WORD_BYTES;
      offers.opens += this.#count(at + layout.SLOT_OFFERS_OPENS / WORD_BYTES);
      offers.weight += this.#count(at + layout.SLOT_OFFERS_WEIGHT / WORD_BYTES) / layout.SAMPLING_WEIGHT;
      offers.passed += this.#count(at + layout.SLOT_OFFERS_PASSED / WORD_BYTES);
    }
  }

  close(): void {
    for (const { address, bytes } of this.#mappings.splice(0)) unmap(address, bytes);
  }

  /** 64 bits that the kernel adds to meanwhile: the high word must be the same before and after. */
  #count(at: number): number {
    for (;;) {
      const high = Atomics.load(this.#offers, at + 1);
      const low = Atomics.load(this.#offers, at);
      if (Atomics.load(this.#offers, at + 1) === high) return high * 0x1_0000_0000 + low;
    }
  }
}

function pages(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}
