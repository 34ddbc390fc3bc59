// The whole pump over a ring in memory while the wall clock is stepped: what is sent keeps true durations, and no trace
// is opened again. The clocks are set here; all stages are the real ones.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FromPump, ToPump } from '../../src/model/pump-messages.ts';
import * as layout from '../../src/model/record-layout.ts';
import { Pump } from '../../src/pump/pump.ts';
import { RingReader } from '../../src/ring/ring-reader.ts';
import { WallClock } from '../../src/ring/wall-clock.ts';
import { decodeSpans, type OtlpSpan } from '../helpers/otlp-messages.ts';
import { makePumpOptions, makePumpStages } from '../helpers/pump-parts.ts';
import { createTestRing, pairRecord, wake } from '../helpers/ring-memory.ts';
import { SetClocks } from '../helpers/set-clocks.ts';

const SECOND_NS = 1_000_000_000n;
const HOUR_NS = 3600n * SECOND_NS;
/** Wall time at boot second 0. */
const BOOTED_UNIX_NS = 1_800_000_000n * SECOND_NS;
const RING_BYTES = 65_536;
const SLOT = 1;

/** What happens at one turn of the pump; gives messages to it. */
type Act = (machine: Machine) => ToPump[];

class Machine {
  readonly clocks = new SetClocks({ bootNs: 100n * SECOND_NS, wallNs: BOOTED_UNIX_NS + 100n * SECOND_NS });
  readonly requests: Uint8Array[] = [];
  readonly ring = createTestRing(RING_BYTES);

  write(path: string, execution: bigint, sliceBegunNs: bigint, openedNs: bigint, closedNs: bigint): void {
    this.ring.write(
      pairRecord(path, (view) => {
        view.setBigUint64(layout.PAIR_RECORD_EXECUTION, execution, true);
        view.setBigUint64(layout.PAIR_RECORD_SLICE_BEGUN_BOOT_NS, sliceBegunNs, true);
        view.setBigUint64(layout.PAIR_RECORD_OPENED_BOOT_NS, openedNs, true);
        view.setBigUint64(layout.PAIR_RECORD_CLOSED_BOOT_NS, closedNs, true);
      }),
    );
  }

  /** Runs the pump through the acts, one a turn, and returns the spans that it sent. */
  run(acts: readonly Act[]): OtlpSpan[] {
    const options = makePumpOptions({
      ringBytes: RING_BYTES,
      requestAgeMaxMs: 200,
      buffersMax: 16,
      containersMax: 8,
      attributes: 'standard',
    });
    const { stages, sealed } = makePumpStages(options);
    const left = [...acts];
    let messages: ToPump[] = [];
    let isTold = false;
    const pump = new Pump(options, {
      ...stages,
      ring: new RingReader(this.ring),
      clock: new WallClock(this.clocks.read),
      receive: () => {
        if (!isTold) messages = left.shift()?.(this) ?? [{ type: 'stop' }];
        isTold = true;
        const message = messages.shift();
        if (message === undefined) {
          isTold = false;
          wake(options.eventFd);
        }
        return message;
      },
      post: (message: FromPump) => {
        if (message.type !== 'request') return;
        this.requests.push(Uint8Array.from(sealed[message.index].bytes.subarray(0, message.bytes)));
      },
    });
    pump.run();
    return this.requests.flatMap(decodeSpans).map(({ span }) => span);
  }
}

const begin: Act = () => [
  {
    type: 'container',
    update: { slot: SLOT, resourceBytes: new Uint8Array(0), namespaces: new Uint32Array(7) },
  },
  { type: 'scope', verdict: { scopeLo: 77, scopeHi: 0, verdict: 'trace', slot: SLOT } },
];

const s = (seconds: number): bigint => BigInt(Math.round(seconds * 1000)) * 1_000_000n;

/** Nothing but time passes, and the pump turns: it looks at the clock before it takes messages. */
function pass(seconds: number): readonly Act[] {
  return [
    ({ clocks }) => {
      clocks.pass(s(seconds));
      return [];
    },
    () => [],
  ];
}

for (const [name, stepNs] of [
  ['forward', HOUR_NS],
  ['back', -HOUR_NS],
] as const)
  test(`a step of an hour ${name} while traces are live: true durations, one root for each trace, nothing waits`, () => {
    const machine = new Machine();
    const sentAfter: number[] = [];
    const note: Act = () => {
      sentAfter.push(machine.requests.flatMap(decodeSpans).length);
      return [];
    };
    const spans = machine.run([
      begin,
      () => {
        machine.write('/before', 1n, s(100), s(100), s(100.05));
        return [];
      },
      () => {
        machine.clocks.wallNs += stepNs;
        return [];
      },
      () => {
        machine.write('/across', 1n, s(100), s(100.02), s(100.06));
        machine.write('/after', 2n, s(100), s(100.03), s(100.07));
        return [];
      },
      // The request is 200 ms old.
      ...pass(0.3),
      note,
      // 15 s of the slice and 5 s for what ends later.
      ...pass(19.6),
      note,
      // A quarter of a second for the lists of what is due, and 200 ms for the request.
      ...pass(0.5),
      ...pass(0.3),
      note,
      () => {
        machine.write('/late', 1n, s(100), s(100.04), s(120.1));
        return [];
      },
    ]);
    assert.deepEqual(sentAfter, [3, 3, 5], 'files after 0.3 s, roots after 20 s and not before');
    const file = (path: string): OtlpSpan =>
      spans.find(({ attributes }) => attributes['file.path'] === path)!;
    const durations: Record<string, bigint> = {
      '/before': s(0.05),
      '/across': s(0.04),
      '/after': s(0.04),
      '/late': s(20.06),
    };
    for (const [path, durationNs] of Object.entries(durations)) {
      const { startTimeUnixNano, endTimeUnixNano } = file(path);
      assert.equal(endTimeUnixNano - startTimeUnixNano, durationNs, path);
    }
    assert.equal(file('/before').startTimeUnixNano, BOOTED_UNIX_NS + s(100));
    assert.equal(
      file('/across').startTimeUnixNano,
      BOOTED_UNIX_NS + s(100.02),
      'of a trace that began before',
    );
    assert.equal(file('/after').startTimeUnixNano, BOOTED_UNIX_NS + s(100.03) + stepNs);
    assert.equal(file('/late').startTimeUnixNano, BOOTED_UNIX_NS + s(100.04) + stepNs);
    assert.equal(file('/across').traceId, file('/before').traceId);
    assert.equal(new Set(Object.keys(durations).map((path) => file(path).traceId)).size, 3);
    const roots = spans.filter(({ parentSpanId }) => parentSpanId === '');
    assert.deepEqual(
      roots.map(({ traceId }) => traceId).sort(),
      [...new Set(spans.map(({ traceId }) => traceId))].sort(),
      'each trace has one root',
    );
    for (const root of roots) {
      const children = spans.filter(({ parentSpanId }) => parentSpanId === root.spanId);
      assert.ok(children.length > 0);
      for (const { startTimeUnixNano, endTimeUnixNano } of children) {
        assert.ok(startTimeUnixNano >= root.startTimeUnixNano && endTimeUnixNano <= root.endTimeUnixNano);
      }
      assert.ok(root.endTimeUnixNano > root.startTimeUnixNano);
    }
  });
