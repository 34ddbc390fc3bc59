// An exporter with its counters and log, and requests to give it, for the tests of the export stage.
import assert from 'node:assert/strict';
import type { ExportOptions } from '../../src/export/export-options.ts';
import { Exporter } from '../../src/export/exporter.ts';
import type { Spool } from '../../src/export/spool/spool.ts';
import { COUNTER_BLOCK_BYTES, readCounters } from '../../src/model/counters.ts';
import { ExportRequest } from './otlp-messages.ts';

export interface LogLine {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Record<string, unknown>;
}

/** Encodes a request of `spans` spans by protobufjs; `tag` is in their names. */
export function exportRequest(spans: number, tag = 'span', fillBytes = 0): Uint8Array {
  const startTimeUnixNano = '1764000000123456789';
  const attribute = (key: string, value: object): object => ({ key, value });
  return ExportRequest.encode(
    ExportRequest.fromObject({
      resourceSpans: [
        {
          resource: { attributes: [attribute('service.name', { stringValue: 'shop' })] },
          scopeSpans: [
            {
              scope: { name: 'fdspan', version: '1.2.3' },
              schemaUrl: 'https://example.org/schema',
              spans: Array.from({ length: spans }, (_, index) => ({
                traceId: Buffer.alloc(16, 0xab),
                spanId: Buffer.from(index.toString(16).padStart(16, '0'), 'hex'),
                name: `${tag} ${index}`,
                kind: 1,
                startTimeUnixNano,
                endTimeUnixNano: '1764000000123456790',
                attributes: [
                  attribute('file.path', { stringValue: '/x'.padEnd(fillBytes + 2, 'y') }),
                  attribute('process.pid', { intValue: '9007199254740993' }),
                ],
              })),
            },
          ],
        },
      ],
    }),
  ).finish();
}

export class ExportHarness {
  readonly exporter: Exporter;
  readonly #spool: Spool | null;
  readonly log: LogLine[] = [];
  readonly #counters = new Float64Array(new SharedArrayBuffer(COUNTER_BLOCK_BYTES));
  #given = 0;

  constructor(
    options: Partial<ExportOptions> & Pick<ExportOptions, 'protocol' | 'endpoint'>,
    spool: Spool | null = null,
  ) {
    const note = (level: LogLine['level']) => (message: string, fields: Record<string, unknown>) =>
      void this.log.push({ level, message, fields });
    this.#spool = spool;
    this.exporter = new Exporter(
      {
        compression: 'none',
        headers: {},
        headersFile: null,
        tls: { ca: null, cert: null, key: null },
        timeoutMs: 5000,
        queueBytesMax: 32 * 1024 * 1024,
        requestsInFlightMax: 4,
        userAgent: 'fdspan/test',
        backoff: { firstMs: 10, maxMs: 40 },
        ...options,
      },
      this.#counters,
      { info: note('info'), warn: note('warn'), error: note('error') },
      spool,
    );
  }

  get counters(): ReturnType<typeof readCounters> {
    return readCounters(this.#counters);
  }

  warnings(pattern: RegExp): LogLine[] {
    return this.log.filter(({ level, message }) => level === 'warn' && pattern.test(message));
  }

  /** Nothing waits, in memory or on the disk. */
  get isDrained(): boolean {
    return this.#spool?.isEmpty !== false && this.exporter.unsettledSpans === 0;
  }

  give(request: Uint8Array, spans: number): Promise<void> {
    this.#given += spans;
    return this.exporter.enqueue(request, spans);
  }

  /** Asserts that every span given is in exactly one place. */
  assertLaw(): void {
    const {
      spans_accepted,
      queue_full,
      rejected,
      retries_exhausted,
      shutdown,
      spool_damaged,
      spool_recovered,
    } = this.counters;
    const waiting = this.exporter.inFlightSpans + this.exporter.queuedSpans;
    const spooled = this.exporter.spool?.waiting.spans ?? 0;
    const ended = spans_accepted + queue_full + rejected + retries_exhausted + shutdown + spool_damaged;
    assert.equal(
      ended + waiting + spooled,
      this.#given + spool_recovered,
      JSON.stringify({ ...this.counters, waiting, spooled, given: this.#given }),
    );
  }

  /** Flushes, closes, and asserts the law with nothing left. */
  async end(timeoutMs = 10_000): Promise<void> {
    this.assertLaw();
    await this.exporter.flush(timeoutMs);
    await this.exporter.close();
    this.assertLaw();
    assert.equal(this.exporter.inFlightSpans + this.exporter.queuedSpans, 0);
  }
}
