// What user space knows of the kernel's policy table: which scopes it holds, and which went. A verdict that comes after
// its group's removal must not put the scope back: nothing would take it out again, and the table would fill.
import * as layout from '../model/record-layout.ts';
import type { RegistryVerdict } from './registry-options.ts';

const VERDICTS: Readonly<Record<RegistryVerdict, number>> = {
  trace: layout.VERDICT_TRACE,
  deny: layout.VERDICT_DENY,
  ignore: layout.VERDICT_IGNORE,
  unjudged: layout.VERDICT_UNJUDGED,
};

/**
 * Scopes that are remembered when nothing will be told of them any more, so that a late pair costs no look. Reason: some
 * 2 MB; a pair comes late by what the ring holds. The longest forgotten goes first, and a pair of it costs a look.
 */
const STRANGERS_MAX = 16_384;

/** Returns a verdict as the kernel's table holds it; `slot` is told of a traced container only. */
function kernelVerdict(verdict: RegistryVerdict, slot: number): number {
  return VERDICTS[verdict] | (verdict === 'trace' ? slot << layout.VERDICT_SLOT_SHIFT : 0);
}

/** The kernel's side of the table. */
export interface KernelPolicy {
  /** Writes a verdict; false when there is no place. */
  judge(scope: bigint, container: bigint, verdict: number, isOnlyNew: boolean): boolean;
  forget(scope: bigint): void;
}

/**
 * `ignored`: a host's group, of which the kernel holds nothing where it takes the unknown for ignored. `gone`: removed,
 * and still kept by the registry.
 */
type Place = 'kernel' | 'ignored' | 'gone';

export class PolicyTable {
  readonly #kernel: KernelPolicy;
  /** Whether the kernel asks about what it doesn't know: then it must keep what is ignored. */
  readonly #asksOfUnknown: boolean;
  readonly #places = new Map<bigint, Place>();
  readonly #strangers = new Set<bigint>();

  constructor(kernel: KernelPolicy, asksOfUnknown: boolean) {
    this.#kernel = kernel;
    this.#asksOfUnknown = asksOfUnknown;
  }

  /** The scopes whose groups were there when last heard of. */
  there(): bigint[] {
    return [...this.#places].filter(([, place]) => place !== 'gone').map(([scope]) => scope);
  }

  /** The kernel holds the scope already: it added it when the group was made. */
  hold(scope: bigint): void {
    this.#strangers.delete(scope);
    this.#places.set(scope, 'kernel');
  }

  /** Whether somebody may wait for the scope's verdict: a group that a look finds on the host has none who does. */
  isHeard(scope: bigint): boolean {
    const place = this.#places.get(scope);
    return place === 'kernel' || place === 'gone';
  }

  /** Whether the scope was told to be ignored, and its group was there when last heard of. */
  isIgnored(scope: bigint): boolean {
    return this.#places.get(scope) === 'ignored';
  }

  /** Whether nothing is traced of the scope, as is known without a look; the kernel is told again. */
  ignoresForGood(scope: bigint): boolean {
    if (!this.isIgnored(scope)) return this.#strangers.has(scope);
    // The record of a group that a look found first may have been lost: the kernel holds it then.
    if (!this.#asksOfUnknown) this.#kernel.forget(scope);
    return true;
  }

  /** The group went. The kernel forgot it then; a verdict may have come between that and now. */
  removed(scope: bigint): void {
    this.#places.set(scope, 'gone');
    this.#kernel.forget(scope);
  }

  /** Nothing will be told of the scope any more. */
  forget(scope: bigint): void {
    this.#places.delete(scope);
    if (this.#asksOfUnknown) return;
    this.#strangers.add(scope);
    if (this.#strangers.size <= STRANGERS_MAX) return;
    for (const oldest of this.#strangers) {
      this.#strangers.delete(oldest);
      return;
    }
  }

  /** Tells the kernel a verdict where it needs one; false when its table is full. */
  tell(scope: bigint, container: bigint, verdict: RegistryVerdict, slot: number): boolean {
    const place = this.#places.get(scope);
    if (verdict === 'ignore') {
      this.#ignore(scope, place);
      return true;
    }
    if (place === 'gone') return true;
    this.#places.set(scope, 'kernel');
    return this.#kernel.judge(scope, container, kernelVerdict(verdict, slot), false);
  }

  #ignore(scope: bigint, place: Place | undefined): void {
    // Nobody keeps what went and is no container's.
    if (place === 'gone') return this.forget(scope);
    if (place === 'kernel') {
      if (this.#asksOfUnknown) this.#kernel.judge(scope, scope, layout.VERDICT_IGNORE, false);
      else this.#kernel.forget(scope);
    }
    this.#places.set(scope, 'ignored');
  }
}
