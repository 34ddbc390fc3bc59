// The pump's loop: from the ring to sealed requests, in one thread that never awaits. It stops reading
// only while no request buffer is free; the kernel then counts `ring_full`.
import { counterIndex, gaugeIndex } from '../model/counters.ts';
import type { PumpOptions, ToPump } from '../model/pump-messages.ts';
import { RecordCursor } from '../model/record-cursor.ts';
import { ContainerMessages } from './container-messages.ts';
import type { PumpStages } from './pump-stages.ts';
import { giveUpWaiting } from './give-up-waiting.ts';
import { HeldReader } from './held-reader.ts';
import { RootSender } from './root-sender.ts';
import { ScopeRecordSender } from './scope-record-sender.ts';
import { SCOPE_IGNORED, SCOPE_UNKNOWN, SCOPE_WAITING, stateAtOpen } from '../model/scope-state.ts';
import { TraceCursor } from '../model/trace-cursor.ts';
import { SlotCounts } from '../model/slot-counts.ts';
import * as layout from '../model/record-layout.ts';

/** Records of one drain: some 10 ms, so that messages and the requests' age are looked at in time. */
const DRAIN_RECORDS_MAX = 8192;
/** Longest wait: bounds what a wake-up that the kernel saved delays, and how old `pump_turned_ms` gets. */
const WAIT_MS_MAX = 100;
const KEEP = -1;

const RECORDS_READ = counterIndex('records_read');
const SPANS_ENCODED = counterIndex('spans_encoded');
const RECORD_INVALID = counterIndex('record_invalid');
const UNJUDGED_OVERFLOW = counterIndex('unjudged_overflow');
const CONTAINER_DENIED = counterIndex('container_denied');
const SLICE_RECORDS_OVERFLOW = counterIndex('slice_records_overflow');
const ENCODE_FAILED = counterIndex('encode_failed');
const BYTES_ENCODED = counterIndex('bytes_encoded');
const REQUESTS_SEALED = counterIndex('requests_sealed');
const DRAINS = counterIndex('drains');
const PUMP_STALLS = counterIndex('pump_stalls');
const WAITING_GAUGE = gaugeIndex('waiting');
const TURNED_GAUGE = gaugeIndex('pump_turned_ms');
const FILL_GAUGE = gaugeIndex('ring_fill_bytes');

export class Pump {
  private readonly stages: PumpStages;
  private readonly counters: Float64Array;
  private readonly slotCounts: SlotCounts;
  private readonly requestAgeMaxMs: number;
  private readonly cursor = new RecordCursor();
  private readonly trace = new TraceCursor();
  private readonly roots: RootSender;
  private readonly held: HeldReader;
  private readonly containers: ContainerMessages;
  private readonly scopeRecords: ScopeRecordSender;
  /** Indices of the free buffers. */
  private readonly freeBuffers: number[];
  /** When the turn began, by the boot clock, as all times here: the wall clock may be stepped. */
  private nowMs = 0;
  private requestBegunMs = 0;
  /** When the first file of the open request was closed; 0: it has none. */
  private closedMs = 0;
  private isStalled = false;
  private isRingEmpty = false;
  /** Answers that are owed. */
  private drainsAsked = 0;
  private isStopping = false;

  constructor(options: PumpOptions, stages: PumpStages) {
    this.stages = stages;
    this.counters = new Float64Array(options.counters);
    this.slotCounts = new SlotCounts(options.slotCounts);
    this.requestAgeMaxMs = options.requestAgeMaxMs;
    this.freeBuffers = [...options.buffers.keys()];
    this.roots = new RootSender(stages, this.counters, () => this.makeRoom());
    this.containers = new ContainerMessages(stages, this.roots, this.slotCounts, this.counters);
    this.scopeRecords = new ScopeRecordSender(stages.post, this.counters);
    const slotOf = (lo: number, hi: number): number => stateAtOpen(stages.scopes.find(lo, hi));
    this.held = new HeldReader(this.counters, slotOf, (slot) => {
      return stages.sampler.judge(this.cursor, slot) === KEEP && this.encode(slot);
    });
  }

  /** Runs until a `stop` message was obeyed. */
  run(): void {
    this.stages.post({ type: 'ready' });
    for (;;) {
      this.turn();
      if ((this.drainsAsked > 0 || this.isStopping) && this.isRingEmpty && !this.isStalled && this.finish())
        return;
      this.wait();
    }
  }

  private turn(): void {
    const { request, clock } = this.stages;
    this.nowMs = clock.turn();
    this.counters[TURNED_GAUGE] = this.nowMs;
    if (request.spanCount === 0) this.requestBegunMs = this.nowMs;
    this.receiveMessages();
    this.stages.sampler.refill(this.nowMs);
    this.isStalled = false;
    if (this.containers.isReplayDue) this.replay();
    if (!this.isStalled) this.drain();
    // What closed until now was in the ring: a root doesn't go before its children.
    if (this.isRingEmpty && !this.isStalled) this.roots.sendDue(this.nowMs);
    if (request.spanCount > 0 && this.nowMs - this.requestBegunMs >= this.requestAgeMaxMs) this.seal();
    if (this.isStalled) this.counters[PUMP_STALLS] += 1;
    this.counters[WAITING_GAUGE] = this.stages.waiting.count;
    this.roots.noteCounts();
    this.counters[FILL_GAUGE] = this.stages.ring.fillBytes();
  }

  private wait(): void {
    if (this.isStalled) return this.stages.waiter.waitForMessages(WAIT_MS_MAX);
    if (!this.isRingEmpty || this.containers.isReplayDue) return;
    const ageMs = this.nowMs - this.requestBegunMs;
    const untilSealMs = this.stages.request.spanCount > 0 ? this.requestAgeMaxMs - ageMs : WAIT_MS_MAX;
    this.stages.waiter.waitForRecords(Math.max(1, Math.min(WAIT_MS_MAX, untilSealMs)));
  }

  /** Answers a drain or a stop once all is sealed; true when the pump must end. */
  private finish(): boolean {
    // A verdict may be among what waits for room.
    if (this.isStopping && this.containers.isBlocked) return false;
    if (this.isStopping) this.counters[UNJUDGED_OVERFLOW] += giveUpWaiting(this.stages, this.cursor);
    this.counters[WAITING_GAUGE] = this.stages.waiting.count;
    if (this.isStopping && !this.roots.sendDue(Infinity)) return false;
    this.roots.noteCounts();
    if (this.stages.request.spanCount > 0 && !this.seal()) {
      this.isStalled = true;
      return false;
    }
    for (; this.drainsAsked > 0; this.drainsAsked -= 1) this.stages.post({ type: 'drained' });
    if (this.isStopping) this.stages.post({ type: 'stopped' });
    return this.isStopping;
  }

  private drain(): void {
    const { ring, check } = this.stages;
    this.isRingEmpty = false;
    this.counters[DRAINS] += 1;
    for (let count = 0; count < DRAIN_RECORDS_MAX; count += 1) {
      if (!this.makeRoom()) break;
      if (!ring.next(this.cursor)) {
        this.isRingEmpty = true;
        break;
      }
      const kind = check(this.cursor);
      if (kind === layout.RECORD_SLICE_ENDED) {
        this.takeSlice();
        continue;
      }
      if (kind > layout.RECORD_PAIR) {
        this.scopeRecords.send(this.cursor);
        continue;
      }
      if (kind === layout.RECORD_PAIR && this.held.take(this.cursor)) continue;
      this.counters[RECORDS_READ] += 1;
      if (kind === layout.RECORD_PAIR) this.takePair();
      else this.counters[RECORD_INVALID] += 1;
    }
    if (ring.isDamaged) {
      ring.isDamaged = false;
      this.counters[RECORDS_READ] += 1;
      this.counters[RECORD_INVALID] += 1;
    }
    ring.release();
  }

  private takePair(): void {
    const lo = this.cursor.u32(layout.PAIR_RECORD_SCOPE);
    const hi = this.cursor.u32(layout.PAIR_RECORD_SCOPE + 4);
    const state = this.stages.scopes.find(lo, hi);
    if (state === SCOPE_UNKNOWN || state === SCOPE_WAITING) this.holdPair(lo, hi, state);
    else this.finishPair(state);
  }

  /** What the kernel tells of a slice waits behind the slice's pairs. */
  private takeSlice(): void {
    const lo = this.cursor.u32(layout.SLICE_RECORD_SCOPE);
    const state = this.stages.scopes.find(lo, this.cursor.u32(layout.SLICE_RECORD_SCOPE + 4));
    if (state === SCOPE_WAITING) {
      if (!this.stages.waiting.add(this.cursor)) this.counters[SLICE_RECORDS_OVERFLOW] += 1;
      return;
    }
    this.stages.traces.endSlice(this.cursor);
    this.slotCounts.countFiltered(state, this.cursor.u32(layout.SLICE_RECORD_FILTERED));
  }

  private holdPair(lo: number, hi: number, state: number): void {
    if (this.ask(lo, hi, state) && this.stages.waiting.add(this.cursor)) return;
    this.counters[UNJUDGED_OVERFLOW] += 1;
    this.stages.sampler.cut(this.cursor);
  }

  /** Asks the main thread about a scope, once; false when there is no place to remember that. */
  private ask(lo: number, hi: number, state: number): boolean {
    if (state === SCOPE_WAITING) return true;
    if (!this.stages.scopes.set(lo, hi, SCOPE_WAITING)) return false;
    this.stages.post({ type: 'scope-unknown', scopeLo: lo, scopeHi: hi });
    return true;
  }

  private finishPair(scopeState: number): void {
    const state = stateAtOpen(scopeState);
    const verdict =
      state === SCOPE_IGNORED ? CONTAINER_DENIED : this.stages.sampler.judge(this.cursor, state);
    if (verdict !== KEEP) {
      this.counters[verdict] += 1;
      return;
    }
    this.slotCounts.countSpan(state);
    this.counters[this.encode(state) ? SPANS_ENCODED : ENCODE_FAILED] += 1;
  }

  private encode(slot: number): boolean {
    const { request, traces, clock } = this.stages;
    if (traces.isFull) this.roots.evict();
    if (this.closedMs === 0) this.closedMs = this.cursor.milliseconds(layout.PAIR_RECORD_CLOSED_BOOT_NS);
    traces.add(this.cursor, slot, this.trace, clock.offsetLo, clock.offsetHi);
    this.stages.redaction?.redact(this.cursor);
    return request.add(this.cursor, slot, this.trace);
  }

  /** Goes through the waiting records; when it stalls, the rest stays and the replay stays due. */
  private replay(): void {
    const { waiting, scopes } = this.stages;
    waiting.startReplay();
    this.containers.isReplayDue = false;
    while (waiting.next(this.cursor)) {
      const kind = this.stages.check(this.cursor);
      const lo = this.cursor.u32(layout.PAIR_RECORD_SCOPE);
      const hi = this.cursor.u32(layout.PAIR_RECORD_SCOPE + 4);
      const state = scopes.find(lo, hi);
      if (state === SCOPE_UNKNOWN || state === SCOPE_WAITING) {
        this.ask(lo, hi, state);
        waiting.keep();
        continue;
      }
      if (!this.makeRoom()) {
        this.containers.isReplayDue = true;
        break;
      }
      if (kind === layout.RECORD_PAIR) this.finishPair(state);
      else this.takeSlice();
      waiting.take();
    }
    waiting.endReplay();
    if (!this.containers.isReplayDue) this.containers.replayed();
  }

  private makeRoom(): boolean {
    if (this.stages.request.hasRoom() || this.seal()) return true;
    this.isStalled = true;
    return false;
  }

  /** Seals the open request and hands it over; false when no buffer is free. */
  private seal(): boolean {
    const index = this.freeBuffers.pop();
    if (index === undefined) return false;
    const { spanCount, rootCount: processSpans, heldCount: heldSpans } = this.stages.request;
    const spans = spanCount - processSpans - heldSpans;
    const bytes = this.stages.sealInto(index);
    this.requestBegunMs = this.nowMs;
    this.counters[REQUESTS_SEALED] += 1;
    this.counters[BYTES_ENCODED] += bytes;
    const closedBootMs = this.closedMs;
    this.closedMs = 0;
    this.stages.post({ type: 'request', index, bytes, spans, processSpans, heldSpans, closedBootMs });
    return true;
  }

  private receiveMessages(): void {
    for (let message = this.stages.receive(); message !== undefined; message = this.stages.receive())
      this.obey(message);
    this.containers.goOn();
  }

  private obey(message: ToPump): void {
    switch (message.type) {
      case 'rate-limit':
        return this.stages.sampler.setLimit(message.perSecond);
      case 'redaction':
        return this.stages.redaction?.change(message.redaction);
      case 'buffer':
        return void this.freeBuffers.push(message.index);
      case 'drain':
        this.drainsAsked += 1;
        return;
      case 'stop':
        this.isStopping = true;
        return;
      default:
        this.containers.take(message);
    }
  }
}
