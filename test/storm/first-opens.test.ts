// The storms of test/e2e/first-opens.test.ts at full size; some minutes, so they have a command of their own.
import { test } from 'node:test';
import { whyNoPrograms } from '../helpers/busybox-image.ts';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import { runBareStorm, runGroupStorm } from '../helpers/first-opens-storm.ts';

const whyNot = (...programs: string[]): string | false =>
  whyNoKernelTests() ?? whyNoPrograms(...programs) ?? false;

test(
  "1,000 groups as docker's one after another and 200 at once, named by an engine",
  { skip: whyNot() },
  (t) => runGroupStorm(t, { oneByOne: 1000, atOnce: 200 }),
);

for (const runtime of ['runc', 'crun'] as const) {
  test(`200 containers of bare ${runtime} one after another and 50 at once`, { skip: whyNot(runtime) }, (t) =>
    runBareStorm(t, runtime, { oneByOne: 200, atOnce: 50 }, false),
  );
}
