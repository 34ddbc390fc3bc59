// What the main thread tells of containers and scopes, obeyed in its order. A container that goes leaves roots of traces
// to send; while no request buffer is free they can't be, and what follows waits: another container may get the slot.
import type { ToPump } from '../model/pump-messages.ts';
import { ignoredState, SCOPE_WAITING } from '../model/scope-state.ts';
import type { SlotCounts } from '../model/slot-counts.ts';
import type { PumpStages } from './pump-stages.ts';
import type { RootSender } from './root-sender.ts';

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
  /** Behind one that waits for room. Grows only as long as the main thread tells of containers but frees no buffer. */
  private readonly waiting: ContainerMessage[] = [];

  constructor(stages: PumpStages, roots: RootSender, slotCounts: SlotCounts) {
    this.stages = stages;
    this.roots = roots;
    this.slotCounts = slotCounts;
  }

  /** Obeys a message, now or as soon as those before it are obeyed. */
  take(message: ContainerMessage): void {
    if (this.waiting.length > 0 || !this.obey(message)) this.waiting.push(message);
  }

  /** Once a turn: goes on with what waits. */
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
      case 'scope': {
        const { scopeLo, scopeHi, verdict, slot } = message.verdict;
        this.noteWaiting(scopeLo, scopeHi);
        scopes.set(scopeLo, scopeHi, verdict === 'trace' ? slot : ignoredState(slot));
        return true;
      }
      case 'scope-gone':
        this.noteWaiting(message.scopeLo, message.scopeHi);
        scopes.remove(message.scopeLo, message.scopeHi);
        return true;
    }
  }

  /** Only records that wait for this very scope are a reason to go through all that wait. */
  private noteWaiting(lo: number, hi: number): void {
    if (this.stages.scopes.find(lo, hi) === SCOPE_WAITING) this.isReplayDue = true;
  }
}
