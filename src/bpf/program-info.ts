// What the kernel tells of a loaded program: struct bpf_prog_info of its user-space header.
import { libbpf } from './libbpf.ts';

const INFO_BYTES = 256;
const RECURSION_MISSES = 208;
const VERIFIED_INSTRUCTIONS = 216;

export interface ProgramInfo {
  /** Times that the program wasn't run because it ran already on that CPU; 0 before Linux 5.12. */
  readonly recursionMisses: number;
  /** Steps that the verifier took, from which the time of a load follows; 0 before Linux 5.16. */
  readonly verifierSteps: number;
}

/** Asks the kernel about a program by its descriptor; null when it doesn't tell. */
export function readProgramInfo(fd: number): ProgramInfo | null {
  const info = Buffer.alloc(INFO_BYTES);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(info.length);
  if (libbpf().objectInfo(fd, info, bytes) !== 0) return null;
  return {
    recursionMisses: Number(info.readBigUInt64LE(RECURSION_MISSES)),
    verifierSteps: info.readUInt32LE(VERIFIED_INSTRUCTIONS),
  };
}
