// What rules hide isn't in the request: paths of any shape, from the check of the record to the sealed bytes. Whether a glob
// matches is told by the model in test/helpers/glob-model.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkRecord } from '../../src/decode/check-record.ts';
import { OpenRequest, REQUEST_BYTES_MIN } from '../../src/encode/request.ts';
import { SpanArena } from '../../src/encode/span-arena.ts';
import { Redactor } from '../../src/filter/redactor.ts';
import { RecordCursor } from '../../src/model/record-cursor.ts';
import type { RedactRule } from '../../src/model/redaction.ts';
import * as layout from '../../src/model/record-layout.ts';
import { TraceCursor } from '../../src/model/trace-cursor.ts';
import { globMatches, textOfGlob, type Atom, type Glob } from '../helpers/glob-model.ts';
import { decodeSpans } from '../helpers/otlp-messages.ts';
import { pairRecord } from '../helpers/ring-memory.ts';

/** Of no other part of a request. */
const SECRET = 'qZx~Secret';
const KEY = Uint8Array.from({ length: 16 }, (_, index) => 17 * index);

/** Sends one path through the stages that see it; returns the request, and what it says. */
function send(path: string | Buffer, rules: readonly RedactRule[], flags = 0, fd = 3, key = KEY) {
  const cursor = new RecordCursor();
  const record = pairRecord(path, (view) => {
    view.setUint16(layout.PAIR_RECORD_FLAGS, flags, true);
    view.setInt32(layout.PAIR_RECORD_FD, fd, true);
  });
  cursor.bytes = new Uint8Array((record.length + 7) & ~7);
  cursor.bytes.set(record);
  cursor.words = new Uint32Array(cursor.bytes.buffer);
  cursor.length = record.length;
  assert.equal(checkRecord(cursor), layout.RECORD_PAIR);
  new Redactor({ rules, key }).redact(cursor);
  const request = new OpenRequest({
    requestBytesMax: REQUEST_BYTES_MIN,
    requestSpansMax: 8,
    attributes: 'full',
    spanName: 'template',
    spanNamesMax: 10,
    containersMax: 1,
    scopeVersion: '1',
    traceGroupBy: 'process',
  });
  request.add(cursor, 0, new TraceCursor());
  const out = new SpanArena(Buffer.alloc(REQUEST_BYTES_MIN));
  const bytes = Buffer.from(out.bytes.subarray(0, request.seal(out)));
  const [{ span }] = decodeSpans(bytes);
  const { 'file.path': told, 'file.directory': directory } = span.attributes;
  return { bytes, told: told as string, directory, name: span.name };
}

const hidden = (path: string | Buffer, rules: readonly RedactRule[], flags = 0, fd = 3): void => {
  const { bytes } = send(path, rules, flags, fd);
  assert.ok(!bytes.includes(SECRET), `${String(path)} in ${String(bytes)}`);
};

const HOME = { path: '/home/*/**', with: 'mask' } as const;
const HOME_HASHED = { ...HOME, with: 'hash' } as const;

test('mask: the folder before the first wildcard, and no more; in path, directory and name', () => {
  const { told, directory, name } = send('/home/alice/tax/2026.pdf', [HOME]);
  assert.deepEqual([told, directory, name], ['/home/…redacted', '/home', 'open /home/…redacted']);
  assert.equal(send('/home/alice', [HOME]).told, '/home/alice', 'the glob asks for something below');
  assert.equal(send('/srv/keys/a.pem', [{ path: '*.pem', with: 'mask' }]).told, '…redacted');
  assert.equal(send('/etc/shadow', [{ path: '/etc/shadow', with: 'mask' }]).told, '/etc/…redacted');
});

test('hash: equal paths stay equal, others differ, and the key decides', () => {
  const hashed = (path: string, key = KEY): unknown => send(path, [HOME_HASHED], 0, 3, key).told;
  const first = hashed('/home/alice/a');
  assert.match(String(first), /^\/home\/…[0-9a-f]{16}$/);
  assert.equal(hashed('/home/alice/a'), first);
  assert.notEqual(hashed('/home/alice/b'), first);
  assert.notEqual(hashed('/home/alice/a', new Uint8Array(16)), first);
  assert.equal(send('/home/alice/a', [HOME_HASHED]).name, 'open /home/…*', 'names stay few');
});

test('the first rule that matches decides', () => {
  const rules: RedactRule[] = [{ path: '/home/bob/**', with: 'hash' }, HOME];
  assert.match(send('/home/bob/x', rules).told, /^\/home\/bob\/…[0-9a-f]{16}$/);
  assert.equal(send('/home/eve/x', rules).told, '/home/…redacted');
});

test('the last of 32 rules is asked as well', () => {
  const rules: RedactRule[] = Array.from({ length: 32 }, (_, at) => ({ path: `/r${at}/*`, with: 'mask' }));
  assert.equal(send('/r31/x', rules).told, '/r31/…redacted');
  assert.equal(send('/r30/x', rules).told, '/r30/…redacted');
  assert.throws(() => new Redactor({ rules: [...rules, HOME], key: KEY }), /33 rules/);
});

test('an unlinked file is hidden as what it was', () => {
  const path = `/home/alice/${SECRET}.txt (deleted)`;
  const rule = { path: '/home/*/*.txt', with: 'mask' } as const;
  assert.equal(send(path, [rule], layout.PAIR_DELETED).told, '/home/…redacted (deleted)');
  const one = send('/home/a/x (deleted)', [HOME_HASHED], layout.PAIR_DELETED).told;
  assert.equal(one, `${send('/home/a/x', [HOME_HASHED]).told} (deleted)`);
});

test('what cannot be judged is hidden whole', () => {
  for (const rules of [[HOME], [HOME_HASHED]]) {
    hidden(`e/${SECRET}`, rules, layout.PAIR_PATH_TRUNCATED);
    hidden(`/srv/${SECRET}`, rules, layout.PAIR_PATH_RENAMED);
    // What a process asked for in vain is told as it wrote it.
    for (const path of [`${SECRET}`, `./${SECRET}`, `/tmp/../home/alice/${SECRET}`, `/home//alice/${SECRET}`])
      hidden(path, rules, 0, -13);
    for (const path of [`//home/alice/${SECRET}`, `/home/./alice/${SECRET}`, `/${SECRET}/..`, `/${SECRET}/`])
      hidden(path, rules, 0, -13);
  }
  assert.equal(send('/', [HOME]).told, '/');
  assert.equal(send('/srv/...', [HOME]).told, '/srv/...', 'three dots are a name');
  assert.equal(send('/srv/.x/..y', [HOME]).told, '/srv/.x/..y');
});

const word = fc.constantFrom('a', 'b', 'ab', 'home', 'é', 'x1');
const atom: fc.Arbitrary<Atom[]> = fc.oneof(
  word.map((text) => Array.from(text, (character) => ({ type: 'literal', character }) as const)),
  fc.constant<Atom[]>([{ type: 'star' }]),
  fc.constant<Atom[]>([{ type: 'one' }]),
);
/** Two stars in a row would be another thing. */
const joined = (atoms: readonly Atom[][]): Atom[] =>
  atoms.flat().filter(({ type }, at, all) => type !== 'star' || all[at - 1]?.type !== 'star');
const segment = fc.oneof(
  { weight: 1, arbitrary: fc.constant('any' as const) },
  { weight: 4, arbitrary: fc.array(atom, { minLength: 1, maxLength: 2 }).map(joined) },
);
const glob: fc.Arbitrary<Glob> = fc.record({
  isAbsolute: fc.boolean(),
  segments: fc.array(segment, { minLength: 1, maxLength: 4 }),
});
const name = fc.oneof(
  word,
  word.map((text) => text + SECRET),
  fc.constant(SECRET),
);
const rule = fc.record({ glob, with: fc.constantFrom('mask' as const, 'hash' as const) });

test('a path that a glob matches leaves nothing of itself, and another one is told as it is', () => {
  fc.assert(
    fc.property(
      fc.array(rule, { minLength: 1, maxLength: 4 }),
      fc.array(name, { minLength: 1, maxLength: 5 }),
      (rules, names) => {
        const path = `/${names.join('/')}`;
        const written = rules.map((it) => ({ path: textOfGlob(it.glob), with: it.with }));
        const { bytes, told } = send(path, written);
        if (!rules.some((it) => globMatches(it.glob, path))) return assert.equal(told, path);
        assert.ok(!bytes.includes(SECRET), `${path} by ${written.map((it) => it.path).join(' ')}`);
        assert.notEqual(told, path);
      },
    ),
    { numRuns: 400 },
  );
});

test('any bytes and any flags: what is told is as bounded as a path, and hidden where its head is lost', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: layout.PATH_BYTES_MAX }),
      fc.nat({ max: 63 }),
      fc.constantFrom('mask' as const, 'hash' as const),
      (bytes, flags, how) => {
        const path = Buffer.concat([Buffer.from(SECRET), bytes]).subarray(0, layout.PATH_BYTES_MAX);
        const prefix = `/${'long/'.repeat(180)}**`;
        hidden(path, [{ path: prefix, with: how }], flags);
      },
    ),
    { numRuns: 100 },
  );
});

test('a prefix as long as a path leaves room for the mark', () => {
  const folder = `/${'x'.repeat(200)}`.repeat(20);
  const rule = { path: `${folder}/**`, with: 'hash' } as const;
  const { told } = send(`${folder}/${SECRET}`, [rule]);
  assert.ok(Buffer.byteLength(told) <= layout.PATH_BYTES_MAX);
  assert.ok(told.startsWith(folder.slice(0, 3000)) && !told.includes(SECRET));
});
