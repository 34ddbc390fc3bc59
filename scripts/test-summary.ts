// The end of `npm test`: what failed and what was skipped in all runs, and one line of counts. Exits 1
// when a test or an earlier step failed, or when nothing ran at all.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunResults } from './reporter.ts';

/** Of each failure: the end of a long log is often all that is kept of it. */
const FAILURE_LINES = 20;
const [folder = '.', stepStatus = '1'] = process.argv.slice(2);
const runs = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .sort()
  .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as RunResults);

let [passed, failed, skipped] = [0, 0, 0];
const reasons = new Map<string, number>();
console.log('\n== summary');
for (const run of runs) {
  console.log(`${run.group}: ${run.passed} passed, ${run.failed} failed, ${run.skipped.length} skipped`);
  for (const failure of run.failures) {
    console.log(`  failed: ${failure.split('\n').slice(0, FAILURE_LINES).join('\n  ')}`);
  }
  for (const { reason } of run.skipped) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  passed += run.passed;
  failed += run.failed;
  skipped += run.skipped.length;
}
for (const [reason, count] of reasons) console.log(`skipped ${count}: ${reason}`);
if (stepStatus !== '0' && failed === 0) console.log('a step before failed, see above');
if (passed + failed === 0) console.log('no test ran');
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = stepStatus !== '0' || failed > 0 || passed === 0 ? 1 : 0;
