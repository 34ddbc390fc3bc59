// sampling.keep as the end of a file that is open at the stop sees it.
import { bootNs } from './bpf/libc.ts';
import type { KeptAtEnd } from './bpf/pending-opens.ts';
import type { Config } from './config/config.ts';

const NS_PER_MS = 1_000_000n;

/** Which files that are open at the stop are sent whatever was drawn at their open. */
export function keptAtEnd({ sampling }: Config): KeptAtEnd {
  const isSlowKept = sampling.keep.includes('slow');
  const slowNs = BigInt(Math.round(sampling.slowAfterMs)) * NS_PER_MS;
  return {
    isHeldKept: sampling.keep.includes('held'),
    slowUntilBootNs: isSlowKept ? bootNs() - slowNs : null,
  };
}
