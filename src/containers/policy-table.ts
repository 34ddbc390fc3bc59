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

/** Returns a verdict as the kernel's table holds it; `slot` is told of a traced container only. */
export function kernelVerdict(verdict: RegistryVerdict, slot: number): number {
  return VERDICTS[verdict] | (verdict === 'trace' ? slot << layout.VERDICT_SLOT_SHIFT : 0);
}

/** The kernel's side of the table. */
export interface KernelPolicy {
  /** Writes a verdict; false when there is no place. */
  judge(scope: bigint, container: bigint, verdict: number, isOnlyNew: boolean): boolean;
  forget(scope: bigint): void;
}

/** `stranger`: a host's group that the kernel lacks, and so ignores. `gone`: removed, and still kept by the registry. */
type Place = 'kernel' | 'stranger' | 'gone';

export class PolicyTable {
  readonly #kernel: KernelPolicy;
  readonly #places = new Map<bigint, Place>();

  constructor(kernel: KernelPolicy) {
    this.#kernel = kernel;
  }

  /** The scopes whose groups were there when last heard of. */
  there(): bigint[] {
    return [...this.#places].filter(([, place]) => place !== 'gone').map(([scope]) => scope);
  }

  /** The kernel holds the scope already: it added it when the group was made. */
  hold(scope: bigint): void {
    this.#places.set(scope, 'kernel');
  }

  /** The group went. The kernel forgot it then; a verdict may have come between that and now. */
  removed(scope: bigint): void {
    this.#places.set(scope, 'gone');
    this.#kernel.forget(scope);
  }

  /** Nothing will be told of the scope any more. */
  forget(scope: bigint): void {
    this.#places.delete(scope);
  }

  /** Tells the kernel a verdict where it needs one; false when its table is full. */
  tell(scope: bigint, container: bigint, verdict: number, isIgnored: boolean): boolean {
    const place = this.#places.get(scope);
    if (place === 'gone') return true;
    if (isIgnored && place !== 'kernel') {
      this.#places.set(scope, 'stranger');
      return true;
    }
    this.#places.set(scope, 'kernel');
    return this.#kernel.judge(scope, container, verdict, false);
  }
}
