// What the main thread tells of containers and scopes, obeyed in its order. A container that goes leaves roots of traces
// to send; while no request buffer is free they can't be, and what follows waits: another container may get the slot.
import type { ToPump } from '../model/pump-messages.ts';
import { deniedState, SCOPE_WAITING } from '../model/scope-state.ts';
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
      case 'scope': {
        const { scopeLo, scopeHi, verdict, slot } = message.verdict;
        const before = scopes.find(scopeLo, scopeHi);
        this.noteWaiting(before);
        scopes.set(scopeLo, scopeHi, verdict === 'trace' ? slot : deniedState(before, slot));
        return true;
      }
      case 'scope-gone':
        this.noteWaiting(scopes.find(message.scopeLo, message.scopeHi));
        scopes.remove(message.scopeLo, message.scopeHi);
        return true;
    }
  }

  /** Only records that wait for this very scope are a reason to go through all that wait. */
  private noteWaiting(state: number): void {
    if (state === SCOPE_WAITING) this.isReplayDue = true;
  }
}
