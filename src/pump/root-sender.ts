// Sends the roots of traces: when they are due, when their place is needed, when their container goes.
import { counterIndex, gaugeIndex } from '../model/counters.ts';
import { TraceCursor } from '../model/trace-cursor.ts';
import type { PumpStages } from './pump-stages.ts';

const PROCESS_SPANS_ENCODED = counterIndex('process_spans_encoded');
const TRACES_EVICTED = counterIndex('traces_evicted');
const TRACES_BEGUN = counterIndex('traces_begun');
const TRACES_GAUGE = gaugeIndex('live_traces');

export class RootSender {
  private readonly stages: PumpStages;
  private readonly counters: Float64Array;
  private readonly makeRoom: () => boolean;
  private readonly root = new TraceCursor();

  /** @param makeRoom seals the open request where it must; false when there is no room. */
  constructor(stages: PumpStages, counters: Float64Array, makeRoom: () => boolean) {
    this.stages = stages;
    this.counters = counters;
    this.makeRoom = makeRoom;
  }

  /** Sends the roots that are due; false when it stalls before the last one. */
  sendDue(nowBootMs: number): boolean {
    const { traces } = this.stages;
    for (let index = traces.due(nowBootMs); index >= 0; index = traces.due(nowBootMs)) {
      if (!this.makeRoom()) return false;
      this.send(index);
    }
    return true;
  }

  /** Makes a place for another trace; the request has room for a root before each span. */
  evict(): void {
    const { traces } = this.stages;
    const { oldest } = traces;
    traces.evict(oldest);
    this.send(oldest);
  }

  /** Another container may get the slot: the roots of this one go now. False when it stalls before the last one. */
  forgetSlot(slot: number): boolean {
    const { traces } = this.stages;
    for (let index = traces.ofSlot(slot); index >= 0; index = traces.ofSlot(slot)) {
      if (!this.makeRoom()) return false;
      this.send(index);
    }
    return true;
  }

  /** Once a turn, and once more when the last roots are sent. */
  noteCounts(): void {
    const { traces } = this.stages;
    this.counters[TRACES_BEGUN] = traces.begunCount;
    this.counters[TRACES_GAUGE] = traces.count;
    this.counters[TRACES_EVICTED] = traces.evictedCount;
  }

  private send(index: number): void {
    this.stages.traces.take(index, this.root);
    this.stages.request.addRoot(this.root);
    this.counters[PROCESS_SPANS_ENCODED] += 1;
  }
}
