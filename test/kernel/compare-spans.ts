// Compares the spans that a receiver got with what the workload says it did: count, path, reason, order,
// descriptor, process, and times within the clock readings around each call.
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import type { ExpectedSpan } from '../helpers/workload.ts';

export interface SeenSpan {
  readonly name: string;
  readonly startUnixNs: bigint;
  readonly endUnixNs: bigint;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly resource: Readonly<Record<string, unknown>>;
  /** 2 is ERROR. */
  readonly statusCode: number;
  readonly traceId: string;
  readonly traceState: string;
  readonly flags: number;
}

/** Reason: fdspan measures wall minus boot time at another moment, and the wall clock is slewed meanwhile. */
const OFFSET_TOLERANCE_NS = 2_000_000n;

const PATH_BYTES_MAX = 4096;

/** At least so much of a longer path's tail is kept. */
const TAIL_BYTES_MIN = 3840;

/** Returns an attribute as a number, however the decoder shows 64-bit integers. */
export function numberOf(span: SeenSpan, key: string): number {
  const value = span.attributes[key];
  assert.notEqual(
    value,
    undefined,
    `${span.name} has ${key}: ${JSON.stringify(Object.keys(span.attributes))}`,
  );
  return Number(value);
}

/** Returns the path as fdspan must send it: bytes that aren't UTF-8 as `\xNN`. */
export function textOfPath(path: Buffer): { text: string; isEscaped: boolean } {
  const isEscaped = !Buffer.from(path.toString('utf8')).equals(path);
  if (!isEscaped) return { text: path.toString('utf8'), isEscaped };
  let text = '';
  for (let at = 0; at < path.length;) {
    const length = [1, 2, 3, 4].find((bytes) => isOneCharacter(path.subarray(at, at + bytes), bytes));
    text += length ? path.toString('utf8', at, at + length) : `\\x${path.toString('hex', at, at + 1)}`;
    at += length ?? 1;
  }
  return { text, isEscaped };
}

function isOneCharacter(bytes: Buffer, count: number): boolean {
  const text = bytes.toString('utf8');
  return bytes.length === count && [...text].length === 1 && Buffer.from(text).equals(bytes);
}

/** Asserts that the spans are exactly the expected ones. */
export function assertSameSpans(
  expected: readonly ExpectedSpan[],
  seen: readonly SeenSpan[],
  options: { readonly offsetNs: bigint; readonly containerId: string },
): void {
  const wanted = groupByThread(expected.map((span) => ({ ...span, at: orderOf(span) })));
  const got = groupByThread(seen.map((span) => ({ ...threadOf(span), span, at: orderOfSeen(span) })));
  const list = (): string =>
    `expected:\n${expected.map(sayExpected).join('\n')}\ngot:\n${seen.map(saySeen).join('\n')}`;
  assert.deepEqual(
    [...got.keys()].sort(),
    [...wanted.keys()].sort(),
    `threads that opened files; ${cut(list())}`,
  );
  for (const [thread, spans] of wanted) {
    const ours = got.get(thread)!;
    assert.equal(ours.length, spans.length, `spans of thread ${thread}; ${cut(list())}`);
    spans.forEach((span, index) => assertSameSpan(span, ours[index].span, options));
  }
  assert.equal(seen.length, expected.length);
}

function cut(text: string): string {
  return text.length > 20_000 ? `${text.slice(0, 20_000)}…` : text;
}

function threadOf(span: SeenSpan): { pid: number; tid: number } {
  return { pid: numberOf(span, 'process.pid'), tid: numberOf(span, 'fdspan.thread.tid') };
}

/** Within a thread, calls follow one another. Adopted files have no open time: their numbers order them. */
function orderOf(span: ExpectedSpan): bigint {
  return span.isAdopted ? BigInt(span.fd) : span.openedBootNs[0];
}

function orderOfSeen(span: SeenSpan): bigint {
  return span.attributes['fdspan.open.adopted'] === true
    ? BigInt(numberOf(span, 'fdspan.fd'))
    : span.startUnixNs;
}

function groupByThread<T extends { pid: number; tid: number; at: bigint }>(
  all: readonly T[],
): Map<string, T[]> {
  const groups = Map.groupBy(all, (one) => `${one.pid}/${one.tid}`);
  for (const group of groups.values()) group.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
  return groups;
}

function sayExpected(span: ExpectedSpan): string {
  const { how, pid, tid, fd, reason, error } = span;
  return `  ${how} ${textOfPath(span.path).text.slice(-80)} pid ${pid} tid ${tid} fd ${fd} ${reason || error}`;
}

function saySeen(span: SeenSpan): string {
  const value = (key: string): string => String(span.attributes[key]);
  return (
    `  ${value('file.path').slice(-80)} pid ${value('process.pid')} tid ${value('fdspan.thread.tid')} ` +
    `fd ${value('fdspan.fd')} ${value('fdspan.close.reason')} ${value('error.type')}`
  );
}

function assertSameSpan(
  expected: ExpectedSpan,
  seen: SeenSpan,
  options: { readonly offsetNs: bigint; readonly containerId: string },
): void {
  const where = `\nexpected${sayExpected(expected)}\ngot${saySeen(seen)}`;
  assertSamePath(expected, seen, where);
  assert.equal(seen.attributes['fdspan.close.reason'] ?? '', expected.reason, `close reason${where}`);
  assert.equal(seen.attributes['error.type'] ?? '', expected.error, `error.type${where}`);
  assert.equal(seen.statusCode, expected.error ? 2 : 0, `status${where}`);
  if (!expected.error) assert.equal(numberOf(seen, 'fdspan.fd'), expected.fd, `descriptor${where}`);
  assert.equal(seen.attributes['fdspan.open.adopted'] ?? false, expected.isAdopted, `adopted${where}`);
  if (!expected.isAdopted)
    assertSameFlags(expected.flags, String(seen.attributes['fdspan.open.flags']), where);
  assert.equal(seen.attributes['process.executable.name'], 'workload', `executable${where}`);
  assert.equal(seen.resource['container.id'], options.containerId, `container${where}`);
  assertTimes(expected, seen, options.offsetNs, where);
}

function assertSamePath(expected: ExpectedSpan, seen: SeenSpan, where: string): void {
  const { text, isEscaped } = textOfPath(expected.path);
  const path = String(seen.attributes['file.path']);
  const isLonger = expected.path.length > PATH_BYTES_MAX;
  assert.equal(seen.attributes['fdspan.file.path.truncated'] ?? false, isLonger, `truncated${where}`);
  assert.equal(seen.attributes['fdspan.file.path.escaped'] ?? false, isEscaped, `escaped${where}`);
  if (!isLonger) return assert.equal(path, text, `path${where}`);
  assert.ok(text.endsWith(path), `the tail of the path is kept${where}`);
  assert.ok(
    path.length >= TAIL_BYTES_MIN && path.length <= PATH_BYTES_MAX,
    `${path.length} bytes are kept${where}`,
  );
}

/** Compares as sets, with names of the host's own constants; the kernel adds O_LARGEFILE by itself. */
function assertSameFlags(flags: number, text: string, where: string): void {
  const names = new Set(text.split('|').filter((name) => name !== 'O_LARGEFILE'));
  const modes = ['O_RDONLY', 'O_WRONLY', 'O_RDWR'];
  assert.ok(names.delete(modes[flags & 3]), `access mode in ${text}${where}`);
  let bits = 0;
  for (const name of names) bits |= flagBits(name);
  assert.equal(bits, flags & ~3, `open flags ${text}${where}`);
}

function flagBits(name: string): number {
  const others: Record<string, number> = { O_CLOEXEC: 0o2000000, O_TMPFILE: 0o20200000 };
  const bits = others[name] ?? (constants as unknown as Record<string, number | undefined>)[name];
  assert.ok(bits !== undefined, `${name} is a flag of open`);
  return bits;
}

function assertTimes(expected: ExpectedSpan, seen: SeenSpan, offsetNs: bigint, where: string): void {
  const startNs = seen.startUnixNs - offsetNs;
  const endNs = seen.endUnixNs - offsetNs;
  const durationNs = seen.endUnixNs - seen.startUnixNs;
  const [openBefore, openAfter] = expected.openedBootNs;
  const [closeBefore, closeAfter] = expected.closedBootNs;
  assert.ok(
    endNs >= closeBefore - OFFSET_TOLERANCE_NS,
    `ends ${closeBefore - endNs} ns before the close${where}`,
  );
  if (closeAfter !== 0n)
    assert.ok(
      endNs <= closeAfter + OFFSET_TOLERANCE_NS,
      `ends ${endNs - closeAfter} ns after the close${where}`,
    );
  assert.ok(
    startNs >= openBefore - OFFSET_TOLERANCE_NS,
    `starts ${openBefore - startNs} ns before the open${where}`,
  );
  if (expected.isAdopted) return;
  assert.ok(
    startNs <= openAfter + OFFSET_TOLERANCE_NS,
    `starts ${startNs - openAfter} ns after the open${where}`,
  );
  // Both ends are on one clock: no tolerance.
  assert.ok(durationNs >= closeBefore - openAfter, `lasts ${durationNs} ns, too short${where}`);
  if (closeAfter !== 0n)
    assert.ok(durationNs <= closeAfter - openBefore, `lasts ${durationNs} ns, too long${where}`);
  const inCallNs = BigInt(String(seen.attributes['fdspan.open.duration_ns']));
  assert.ok(inCallNs <= openAfter - openBefore, `${inCallNs} ns in the open call${where}`);
}
