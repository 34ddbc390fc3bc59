// A scope: the 64-bit number a task is attributed by. Bits 62 and 63 tell its kind, because the
// ids of hierarchies and namespaces overlap (bpf/record.h, enum scope_kind).

export const SCOPE_CGROUP2 = 0;
export const SCOPE_CGROUP1 = 1;
export const SCOPE_MNTNS = 2;
export const SCOPE_PIDNS = 3;

export type CgroupVersion = 'v2' | 'v1';

const KIND_SHIFT = 62n;
const ID_MASK = (1n << KIND_SHIFT) - 1n;

/** Makes the scope of a control group from its id in its hierarchy. */
export function scopeOfCgroup(id: bigint, version: CgroupVersion): bigint {
  return (id & ID_MASK) | (BigInt(version === 'v2' ? SCOPE_CGROUP2 : SCOPE_CGROUP1) << KIND_SHIFT);
}

/** Returns the id that a scope holds. */
export function idOfScope(scope: bigint): bigint {
  return scope & ID_MASK;
}

/** Returns the number (inode) of the namespace that a scope stands for. */
export function namespaceOfScope(scope: bigint): number {
  return Number(scope & 0xffff_ffffn);
}

/** Returns the kind of a scope: one of the SCOPE_* numbers. */
export function kindOfScope(scope: bigint): number {
  return Number((scope >> KIND_SHIFT) & 3n);
}

/** Returns which cgroup version a scope belongs to; null for the scopes of namespaces. */
export function cgroupVersionOfScope(scope: bigint): CgroupVersion | null {
  const kind = kindOfScope(scope);
  return kind === SCOPE_CGROUP2 ? 'v2' : kind === SCOPE_CGROUP1 ? 'v1' : null;
}
