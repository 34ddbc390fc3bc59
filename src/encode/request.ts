// Gathers the arena's spans by container into one ExportTraceServiceRequest.
import { HOST_SLOT, type ContainerUpdate } from '../model/container-slot.ts';
import { CLOSE_HELD, NS_COUNT, PAIR_RECORD_REASON } from '../model/record-layout.ts';
import type { TraceCursor } from '../model/trace-cursor.ts';
import type { RecordCursor } from '../model/record-cursor.ts';
import { field } from './protobuf.ts';
import { RESOURCE_BYTES_MAX } from './resource.ts';
import { SpanArena } from './span-arena.ts';
import { AttributeBlocks } from './attribute-blocks.ts';
import { ROOT_BYTES_MAX, RootEncoder } from './root-encoder.ts';
import { SPAN_BYTES_MAX, SpanEncoder, type SpanEncoderOptions } from './span-encoder.ts';

/** The semantic conventions that the attribute names follow. */
export const SCHEMA_URL = 'https://opentelemetry.io/schemas/1.40.0';
/** Below this, one large span and one large resource don't fit a request together. */
export const REQUEST_BYTES_MIN = 2 * (SPAN_BYTES_MAX + ROOT_BYTES_MAX + RESOURCE_BYTES_MAX);
/** Of a container's name in the name of its traces' roots. */
const NAME_BYTES_MAX = 255;
/** Tags and lengths of one ResourceSpans around its resource and spans. */
const RESOURCE_SPANS_BYTES = 18;
const NONE = -1;

export interface RequestOptions extends SpanEncoderOptions {
  readonly requestBytesMax: number;
  readonly requestSpansMax: number;
  readonly scopeVersion: string;
  readonly traceGroupBy: 'process' | 'container';
}

export class OpenRequest {
  readonly encoder: SpanEncoder;
  /** Spans of all kinds. */
  spanCount = 0;
  /** Of them the roots of traces. */
  rootCount = 0;
  /** And the reports of open files. */
  heldCount = 0;
  /** True when a container of this request has changed: it is sealed before the next span. */
  mustSeal = false;
  private readonly roots: RootEncoder;
  private readonly arena: SpanArena;
  private readonly options: RequestOptions;
  private readonly slotsMax: number;
  private readonly scopeBytes: Uint8Array;
  private readonly resources: Uint8Array[];
  private readonly containerNames: Uint8Array[];
  private readonly namespaces: Uint32Array;
  private pendingUpdates: ContainerUpdate[] = [];
  private overheadBytes = 0;
  /** The slots of this request, each with its spans as a list through `nextSpans`. */
  private readonly usedSlots: Uint32Array;
  private usedSlotCount = 0;
  private readonly firstSpans: Int32Array;
  private readonly lastSpans: Int32Array;
  private readonly slotBytes: Uint32Array;
  private readonly nextSpans: Int32Array;
  private readonly spanEnds: Uint32Array;

  constructor(options: RequestOptions) {
    if (options.requestBytesMax < REQUEST_BYTES_MIN) {
      throw new RangeError(
        `requests of ${options.requestBytesMax} bytes: give at least ${REQUEST_BYTES_MIN}`,
      );
    }
    this.options = options;
    this.arena = new SpanArena(Buffer.alloc(options.requestBytesMax));
    const blocks = new AttributeBlocks();
    this.encoder = new SpanEncoder(options, this.arena, blocks);
    this.roots = new RootEncoder(options.traceGroupBy, this.arena, blocks);
    this.slotsMax = options.containersMax + 1;
    const scope = [...field(1, 'fdspan'), ...field(2, options.scopeVersion)];
    this.scopeBytes = Uint8Array.from([...field(1, scope), ...field(3, SCHEMA_URL)]);
    this.resources = new Array<Uint8Array>(this.slotsMax).fill(new Uint8Array(0));
    this.containerNames = new Array<Uint8Array>(this.slotsMax).fill(new Uint8Array(0));
    this.namespaces = new Uint32Array(this.slotsMax * NS_COUNT);
    this.usedSlots = new Uint32Array(this.slotsMax);
    this.firstSpans = new Int32Array(this.slotsMax).fill(NONE);
    this.lastSpans = new Int32Array(this.slotsMax);
    this.slotBytes = new Uint32Array(this.slotsMax);
    this.nextSpans = new Int32Array(options.requestSpansMax);
    this.spanEnds = new Uint32Array(options.requestSpansMax + 1);
  }

  /** True when any span of any container still fits, and the root that may have to go before it. */
  hasRoom(): boolean {
    if (this.mustSeal || this.spanCount + 2 > this.options.requestSpansMax) return false;
    const aroundBytes = RESOURCE_BYTES_MAX + RESOURCE_SPANS_BYTES + this.scopeBytes.length;
    const nextBytes = SPAN_BYTES_MAX + ROOT_BYTES_MAX + 2 * aroundBytes;
    return this.arena.position + this.overheadBytes + nextBytes <= this.options.requestBytesMax;
  }

  /** Sets a container's resource; while the open request has spans of its slot, once that is sealed. */
  update(update: ContainerUpdate): void {
    if (update.slot < HOST_SLOT || update.slot >= this.slotsMax) return;
    if (this.mustSeal || this.firstSpans[update.slot] !== NONE) {
      this.pendingUpdates.push(update);
      this.mustSeal = true;
      return;
    }
    const fits = update.resourceBytes.length <= RESOURCE_BYTES_MAX + 16;
    // eslint-disable-next-line fdspan/hot-path -- once a container
    this.resources[update.slot] = fits ? update.resourceBytes : new Uint8Array(0);
    // eslint-disable-next-line fdspan/hot-path -- once a container
    this.containerNames[update.slot] = Buffer.from(update.name ?? '').subarray(0, NAME_BYTES_MAX);
    for (let index = 0; index < NS_COUNT; index += 1) {
      this.namespaces[update.slot * NS_COUNT + index] = update.namespaces[index] ?? 0;
    }
  }

  /** Appends the pair; the caller has asked `hasRoom`. False when there is no such slot. */
  add(cursor: RecordCursor, slot: number, trace: TraceCursor): boolean {
    if (slot >= this.slotsMax) return false;
    const begin = this.arena.position;
    this.encoder.write(cursor, slot, this.namespaces, trace);
    this.gather(slot, begin);
    if (cursor.u8(PAIR_RECORD_REASON) === CLOSE_HELD) this.heldCount += 1;
    return true;
  }

  /** Appends the root of a trace; the caller has asked `hasRoom`. */
  addRoot(root: TraceCursor): void {
    const begin = this.arena.position;
    this.roots.write(root, this.containerNames[root.slot]);
    this.gather(root.slot, begin);
    this.rootCount += 1;
  }

  /** Puts the span that was just written to those of its container. */
  private gather(slot: number, begin: number): void {
    const span = this.spanCount++;
    this.spanEnds[span + 1] = this.arena.position;
    this.nextSpans[span] = NONE;
    if (this.firstSpans[slot] === NONE) {
      this.firstSpans[slot] = span;
      this.slotBytes[slot] = 0;
      this.usedSlots[this.usedSlotCount++] = slot;
      this.overheadBytes += RESOURCE_SPANS_BYTES + this.resources[slot].length + this.scopeBytes.length;
    } else {
      this.nextSpans[this.lastSpans[slot]] = span;
    }
    this.lastSpans[slot] = span;
    this.slotBytes[slot] += this.arena.position - begin;
  }

  /** Writes the request to `out`, at least requestBytesMax long, returns its bytes, and begins the next one. */
  seal(out: SpanArena): number {
    out.position = 0;
    for (let index = 0; index < this.usedSlotCount; index += 1) this.sealSlot(out, this.usedSlots[index]);
    this.usedSlotCount = 0;
    this.spanCount = 0;
    this.rootCount = 0;
    this.heldCount = 0;
    this.overheadBytes = 0;
    this.arena.position = 0;
    this.mustSeal = false;
    const updates = this.pendingUpdates;
    if (updates.length > 0) {
      // eslint-disable-next-line fdspan/hot-path -- once a container
      this.pendingUpdates = [];
      for (let index = 0; index < updates.length; index += 1) this.update(updates[index]);
    }
    return out.position;
  }

  private sealSlot(out: SpanArena, slot: number): void {
    const resource = this.resources[slot];
    const scopeSpansBytes = this.scopeBytes.length + this.slotBytes[slot];
    writeHeader(out, 0x0a, 12 + resource.length + scopeSpansBytes);
    writeHeader(out, 0x0a, resource.length);
    out.copy(resource);
    writeHeader(out, 0x12, scopeSpansBytes);
    out.copy(this.scopeBytes);
    let span = this.firstSpans[slot];
    while (span !== NONE) {
      const begin = this.spanEnds[span];
      let last = span;
      while (this.nextSpans[last] === last + 1) last += 1;
      const end = this.spanEnds[last + 1];
      this.arena.bytes.copy(out.bytes, out.position, begin, end);
      out.position += end - begin;
      span = this.nextSpans[last];
    }
    this.firstSpans[slot] = NONE;
  }
}

function writeHeader(out: SpanArena, tag: number, bytes: number): void {
  out.bytes[out.position] = tag;
  out.patchInt32(out.position + 1, bytes);
  out.position += 6;
}
