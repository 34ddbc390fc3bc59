// A process that gives requests to an exporter with a spool and no backend, until it is killed. It tells what lies on the
// disk: `spooled N` after each request, N spans.
import { giveRequests, SPANS, startSpooled } from './spooled.ts';

const [, , dir, endpoint] = process.argv;
const harness = await startSpooled(dir, { endpoint, backoff: { firstMs: 60_000, maxMs: 60_000 } });
for (let index = 0; ; index += 1) {
  await giveRequests(harness, index, index + 1);
  process.stdout.write(`spooled ${harness.exporter.spool?.waiting.spans ?? 0} ${SPANS}\n`);
}
