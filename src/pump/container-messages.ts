// What the main thread tells of containers and scopes, obeyed in its order. A container that goes leaves roots of traces
// to send; while no request buffer is free they can't be, and what follows waits: another container may get the slot.
import { HOST_SLOT, type ScopeVerdict } from '../model/container-slot.ts';
import { counterIndex } from '../model/counters.ts';
import type { ToPump } from '../model/pump-messages.ts';
import { deniedState, SCOPE_IGNORED, SCOPE_WAITING } from '../model/scope-state.ts';
import type { SlotCounts } from '../model/slot-counts.ts';
import type { PumpStages } from './pump-stages.ts';
import type { RootSender } from './root-sender.ts';

const SCOPES_FULL = counterIndex('scopes_full');

export type ContainerMessage = Extract<
  ToPump,
  { readonly type: 'container' | 'container-gone' | 'scope' | 'scope-gone' }
>;

export class ContainerMessages {
  /** A scope that records wait for has a verdict, or went. */
  isReplayDue = false;
  private readonly stages: PumpStages;
  private readonly roots: RootSender;
  private readonly slotCounts: SlotCounts;
  private readonly counters: Float64Array;
  /** Scopes of no container (lo, hi) that records wait for: known until those are gone through. */
  private readonly passing: number[] = [];
  /** Behind one that waits for room. Grows only as long as the main thread tells of containers but frees no buffer. */
  private readonly waiting: ContainerMessage[] = [];

  constructor(stages: PumpStages, roots: RootSender, slotCounts: SlotCounts, counters: Float64Array) {
    this.counters = counters;
    this.stages = stages;
    this.roots = roots;
    this.slotCounts = slotCounts;
  }

  /** Obeys a message, now or as soon as those before it are obeyed. */
  take(message: ContainerMessage): void {
    if (this.waiting.length > 0 || !this.obey(message)) this.waiting.push(message);
  }

  /** Whether something waits for room. */
  get isBlocked(): boolean {
    return this.waiting.length > 0;
  }

  /** Once a turn, behind the messages that free buffers: goes on with what waits. */
  goOn(): void {
    while (this.waiting.length > 0 && this.obey(this.waiting[0])) this.waiting.shift();
  }

  /** False when there is no room for what must be sent first. */
  private obey(message: ContainerMessage): boolean {
    const { request, scopes } = this.stages;
    switch (message.type) {
      case 'container':
        request.update(message.update);
        return true;
      case 'container-gone':
        if (!this.roots.forgetSlot(message.slot)) return false;
        this.slotCounts.reset(message.slot);
        request.encoder.names.reset(message.slot);
        return true;
      case 'scope':
        this.judge(message.verdict);
        return true;
      case 'scope-gone':
        this.noteWaiting(scopes.find(message.scopeLo, message.scopeHi));
        scopes.remove(message.scopeLo, message.scopeHi);
        return true;
    }
  }

  /** All that waited were gone through. What is no container's is asked about again if more comes of it. */
  replayed(): void {
    const { scopes } = this.stages;
    for (let at = 0; at < this.passing.length; at += 2) {
      const state = scopes.find(this.passing[at], this.passing[at + 1]);
      if (state === SCOPE_IGNORED || state === HOST_SLOT)
        scopes.remove(this.passing[at], this.passing[at + 1]);
    }
    this.passing.length = 0;
  }

  /**
   * Scopes of no container take no place: there may be any number of them, and a pair of one, opened before the kernel
   * had the verdict, is asked about.
   */
  private judge({ scopeLo, scopeHi, verdict, slot }: ScopeVerdict): void {
    const { scopes } = this.stages;
    const before = scopes.find(scopeLo, scopeHi);
    const state = verdict === 'ignore' ? deniedState(before, slot) : slot;
    const isPassing = verdict === 'host' || state === SCOPE_IGNORED;
    this.noteWaiting(before);
    if (before === state) return;
    if (isPassing && before !== SCOPE_WAITING) return scopes.remove(scopeLo, scopeHi);
    if (isPassing) this.passing.push(scopeLo, scopeHi);
    if (!scopes.set(scopeLo, scopeHi, state)) this.counters[SCOPES_FULL] += 1;
  }

  /** Only records that wait for this very scope are a reason to go through all that wait. */
  private noteWaiting(state: number): void {
    if (state === SCOPE_WAITING) this.isReplayDue = true;
  }
}
