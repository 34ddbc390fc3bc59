// Reporter for node's test runner: one line a test as it ends, the failures in full, and the counts of
// this run into the file that FDSPAN_TEST_RESULTS names, for scripts/test-summary.ts.
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { TestEvent } from 'node:test/reporters';

/** What one run of the runner hands to the summary. */
export interface RunResults {
  readonly group: string;
  passed: number;
  failed: number;
  readonly skipped: { readonly title: string; readonly reason: string }[];
  readonly failures: string[];
}

type Ended = Extract<TestEvent, { type: 'test:pass' | 'test:fail' }>;

/** Suites and files only repeat what their tests said; a file that failed by itself has no tests to say it. */
function isCounted(event: Ended): boolean {
  const { details, name, file, nesting } = event.data;
  if (details.type === 'suite') return false;
  const isFile = nesting === 0 && file !== undefined && (name === file || file.endsWith(`/${name}`));
  return !isFile || event.type === 'test:fail';
}

function reasonOf(skip: string | boolean | undefined): string {
  return typeof skip === 'string' && skip !== '' ? skip : 'no reason given';
}

function describeFailure(event: Extract<Ended, { type: 'test:fail' }>): string {
  const { details, file, line, name } = event.data;
  const place = file === undefined ? '' : ` (${relative(process.cwd(), file)}:${line ?? 0})`;
  const cause = details.error.cause ?? details.error;
  const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
  return `${name}${place}\n${text.replaceAll(/^/gm, '    ')}`;
}

function record(event: Ended, results: RunResults): string {
  const { name, nesting, skip, todo, details } = event.data;
  const indent = '  '.repeat(nesting + 1);
  if (skip !== undefined && skip !== false) {
    results.skipped.push({ title: name, reason: reasonOf(skip) });
    return `${indent}- ${name} # skipped: ${reasonOf(skip)}\n`;
  }
  if (event.type === 'test:pass' || (todo !== undefined && todo !== false)) {
    results.passed += 1;
    return `${indent}✔ ${name} (${Math.round(details.duration_ms)} ms)\n`;
  }
  results.failed += 1;
  const failure = describeFailure(event);
  results.failures.push(failure);
  return `${indent}✖ ${failure}\n`;
}

/** Reports the events of one run; the results are written when the source ends. */
export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const group = process.env.FDSPAN_TEST_GROUP ?? 'tests';
  const results: RunResults = { group, passed: 0, failed: 0, skipped: [], failures: [] };
  for await (const event of source) {
    if (event.type === 'test:stderr' || event.type === 'test:stdout') yield event.data.message;
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue;
    if (isCounted(event)) yield record(event, results);
  }
  const path = process.env.FDSPAN_TEST_RESULTS;
  if (path !== undefined) writeFileSync(path, JSON.stringify(results));
  yield `  ${results.passed} passed, ${results.failed} failed, ${results.skipped.length} skipped\n`;
}
