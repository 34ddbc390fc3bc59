// Which build of the programs this kernel takes: they differ in how they read kernel memory.
import type { Btf } from './btf.ts';
import { BTF_KIND_FUNC } from './btf.ts';

/** `cast`: direct loads through bpf_rdonly_cast. `probe`: a helper call for each read, some 1.7 times as dear. */
export type Reads = 'cast' | 'probe';

const FILES: Readonly<Record<Reads, string>> = {
  cast: 'fdspan.bpf.o',
  probe: 'fdspan-probe-reads.bpf.o',
};

/** Returns what was asked for; for `auto`, `cast` where the kernel has it (6.2 and newer). */
export function chooseReads(asked: Reads | 'auto', kernel: Btf): Reads {
  if (asked !== 'auto') return asked;
  return kernel.has('bpf_rdonly_cast', BTF_KIND_FUNC) ? 'cast' : 'probe';
}

/** Returns the path of a build. */
export function objectFile(reads: Reads): string {
  return new URL(`../../bpf/build/${FILES[reads]}`, import.meta.url).pathname;
}
