// The first opens of containers: none is lost, none is given to another container, and nothing of a denied one is sent.
// A thousand of them: npm run test:storm.
import { test } from 'node:test';
import { whyNoPrograms } from '../helpers/busybox-image.ts';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import { runBareStorm, runGroupStorm } from '../helpers/first-opens-storm.ts';

const whyNot = (...programs: string[]): string | false =>
  whyNoKernelTests() ?? whyNoPrograms(...programs) ?? false;

for (const runtime of ['runc', 'crun'] as const) {
  test(`20 containers of bare ${runtime} one after another and 20 at once`, { skip: whyNot(runtime) }, (t) =>
    runBareStorm(t, runtime, { oneByOne: 20, atOnce: 20 }, false),
  );
}

test(
  "containers of bare runc with containers.runtime_phase: the runtime's own opens are told apart",
  { skip: whyNot('runc') },
  (t) => runBareStorm(t, 'runc', { oneByOne: 4, atOnce: 4 }, true),
);

test("50 groups as docker's one after another and 50 at once, named by an engine", { skip: whyNot() }, (t) =>
  runGroupStorm(t, { oneByOne: 50, atOnce: 50 }),
);

test(
  "groups as docker's with containers.runtime_phase: what is opened before exec is the runtime's",
  { skip: whyNot() },
  (t) => runGroupStorm(t, { oneByOne: 10, atOnce: 10 }, true),
);
