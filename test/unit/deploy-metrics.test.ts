// The dashboard and the alert rules name only metrics, labels and reasons that fdspan has.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { parse } from 'yaml';
import { COUNTERS, GAUGES } from '../../src/telemetry/instrument-list.ts';
import { registerInstruments } from '../../src/telemetry/instruments.ts';
import { ScrapeReader } from '../../src/telemetry/scrape-reader.ts';
import { DROPS } from '../../src/telemetry/summary.ts';

const deploy = join(import.meta.dirname, '../../deploy');
/** Prometheus's own. */
const OF_PROMETHEUS = new Set(['up']);
/** Of the target, and of a histogram's buckets. */
const LABELS_OF_PROMETHEUS = ['job', 'instance', 'le'];

interface Known {
  readonly names: ReadonlySet<string>;
  readonly labels: ReadonlySet<string>;
}

/** What a scrape of a collector with all its counters tells, told again by Prometheus's text format. */
async function scraped(): Promise<Known> {
  const reader = new ScrapeReader();
  const provider = new MeterProvider({ readers: [reader] });
  const counters = [...COUNTERS, ...GAUGES].map(({ counter }) => counter);
  const names = [...counters, ...DROPS.map(({ reason }) => reason), 'spans_accepted', 'in_flight'];
  const address = { protocol: 'grpc', url: new URL('http://127.0.0.1:4317') } as const;
  const snapshot = Object.fromEntries(names.map((name) => [name, 1]));
  const histograms = registerInstruments(provider.getMeter('fdspan'), () => snapshot, address);
  histograms.sent(0.1, 'retryable');
  histograms.accepted(0.1);
  const lines = (await reader.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return {
    names: new Set(lines.map((line) => /^\w+/.exec(line)![0])),
    labels: new Set(lines.flatMap((line) => [...line.matchAll(/(\w+)="/g)].map(([, label]) => label))),
  };
}

function expressionsOf(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, below]) =>
    key === 'expr' && typeof below === 'string' ? [below] : expressionsOf(below),
  );
}

const FUNCTIONS = new Set('sum min by rate increase histogram_quantile'.split(' '));

/** Words that aren't functions, numbers, label texts or variables. */
function wordsOf(expression: string): string[] {
  const bare = expression.replace(/"[^"]*"/g, '').replace(/\[[^\]]*\]/g, '');
  return [...bare.matchAll(/\b[a-z_][a-z0-9_]*\b/g)].map(([word]) => word).filter((it) => !FUNCTIONS.has(it));
}

const files = {
  'grafana/fdspan.json': (text: string): unknown => JSON.parse(text),
  'prometheus/alerts.yaml': (text: string): unknown => parse(text),
};

for (const [name, read] of Object.entries(files))
  test(`${name} names only metrics and labels that a scrape has`, async () => {
    const { names, labels } = await scraped();
    const expressions = expressionsOf(read(readFileSync(join(deploy, name), 'utf8')));
    assert.ok(expressions.length > 5, 'expressions were found');
    for (const expression of expressions) {
      const words = wordsOf(expression);
      assert.ok(
        words.some((word) => names.has(word) || OF_PROMETHEUS.has(word)),
        expression,
      );
      for (const word of words)
        assert.ok(
          names.has(word) ||
            labels.has(word) ||
            OF_PROMETHEUS.has(word) ||
            LABELS_OF_PROMETHEUS.includes(word),
          `${word} in ${expression}`,
        );
      for (const [, reason] of expression.matchAll(/fdspan_reason[!=~]+"([^"]*)"/g))
        assert.ok(
          DROPS.some((drop) => new RegExp(`^(${reason})$`).test(drop.reason)),
          reason,
        );
      for (const [, stage] of expression.matchAll(/fdspan_stage[!=~]+"([^"]*)"/g))
        assert.ok(
          DROPS.some((drop) => drop.stage === stage),
          stage,
        );
    }
  });
