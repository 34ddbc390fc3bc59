// The hash of ids: 32 bits at a time, without allocation. bpf/slices.bpf.h has the same function.

/** One round of murmur3's mixing, finished: returns 32 signed bits. */
export function mix(hash: number, word: number): number {
  let mixed = Math.imul(hash ^ word, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
