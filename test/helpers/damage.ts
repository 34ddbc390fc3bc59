// Damaged copies of real bytes: flipped bits, cuts, foreign pieces, lengths that lie. What a failure prints is the whole
// plan of the damage, and fast-check makes it smaller.
import fc from 'fast-check';

type Bytes = Buffer<ArrayBuffer>;

/** One step; positions are any numbers, taken modulo the length, so that a plan fits each text. */
type Step =
  | { readonly does: 'flip'; readonly at: number; readonly bit: number }
  | { readonly does: 'set'; readonly at: number; readonly byte: number }
  | { readonly does: 'cut'; readonly at: number }
  | { readonly does: 'remove'; readonly at: number; readonly bytes: number }
  | { readonly does: 'insert'; readonly at: number; readonly piece: Uint8Array }
  | { readonly does: 'repeat'; readonly at: number; readonly bytes: number }
  /** A piece of another text of the corpus. */
  | {
      readonly does: 'splice';
      readonly at: number;
      readonly of: number;
      readonly from: number;
      readonly bytes: number;
    }
  /** A number where a length may be: huge, negative, or just beside the right one. */
  | { readonly does: 'number'; readonly at: number; readonly number: bigint; readonly size: number };

const at = fc.nat();
const bytes = fc.nat({ max: 64 });
const NUMBERS = [0n, 1n, 0x7fn, 0x80n, 0xffn, 0x100n, 0x7fffn, 0x8000n, 0xffffn, 0x10000n, 0x7fffffffn];
const LARGE_NUMBERS = [0x80000000n, 0xffffffffn, 2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n];

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ does: fc.constant('flip' as const), at, bit: fc.nat({ max: 7 }) }),
  fc.record({ does: fc.constant('set' as const), at, byte: fc.nat({ max: 255 }) }),
  fc.record({ does: fc.constant('cut' as const), at }),
  fc.record({ does: fc.constant('remove' as const), at, bytes }),
  fc.record({ does: fc.constant('insert' as const), at, piece: fc.uint8Array({ maxLength: 24 }) }),
  fc.record({ does: fc.constant('repeat' as const), at, bytes }),
  fc.record({ does: fc.constant('splice' as const), at, of: fc.nat(), from: at, bytes }),
  fc.record({
    does: fc.constant('number' as const),
    at,
    number: fc.constantFrom(...NUMBERS, ...LARGE_NUMBERS),
    size: fc.constantFrom(1, 2, 4, 8),
  }),
);

/** Gives copies of the corpus's texts with up to `stepsMax` damages each, and none in some. */
export function damaged(corpus: readonly Uint8Array[], stepsMax = 4): fc.Arbitrary<Bytes> {
  if (corpus.length === 0) throw new Error('damage needs a corpus of one text or more');
  return fc
    .tuple(fc.nat({ max: corpus.length - 1 }), fc.array(step, { maxLength: stepsMax }))
    .map(([index, steps]) =>
      steps.reduce<Bytes>((text, next) => taken(text, next, corpus), Buffer.from(corpus[index])),
    );
}

function taken(text: Bytes, next: Step, corpus: readonly Uint8Array[]): Bytes {
  const place = next.at % (text.length + 1);
  const [before, after] = [text.subarray(0, place), text.subarray(place)];
  switch (next.does) {
    case 'flip':
      if (place < text.length) text[place] ^= 1 << next.bit;
      return text;
    case 'set':
      if (place < text.length) text[place] = next.byte;
      return text;
    case 'cut':
      return before;
    case 'remove':
      return Buffer.concat([before, after.subarray(next.bytes)]);
    case 'insert':
      return Buffer.concat([before, next.piece, after]);
    case 'repeat':
      return Buffer.concat([before, after.subarray(0, next.bytes), after]);
    case 'splice': {
      const other = corpus[next.of % corpus.length];
      const from = next.from % (other.length + 1);
      return Buffer.concat([before, other.subarray(from, from + next.bytes), after]);
    }
    case 'number': {
      const number = Buffer.alloc(8);
      number.writeBigUInt64LE(next.number);
      number.copy(text, place, 0, next.size);
      return text;
    }
  }
}
