// Containers in containers: what the inner one opens is the inner one's, which names the outer one as its parent; what
// the outer one opens beside it stays the outer one's.
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'node:test';
import { startCollector, whyNoKernelTests } from '../helpers/collector-process.ts';
import { startDocker, whyNoDocker } from '../helpers/docker.ts';
import { startOuterContainer } from '../helpers/nested-docker.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { OPENS, script, scriptAtOnce } from './matrix/cell.ts';
import { onlyAsk, twoNames } from './matrix/names.ts';
import { checkFiles, namespaceNumber, NAMESPACES } from './nested-spans.ts';

/** Reason: seventeen redirections take 0.1 s; other tests may share the machine's 2 cores. */
const DONE_TIMEOUT_MS = 30_000;
const LOOK_MS = 50;

async function untilSucceeds(command: () => Promise<unknown>): Promise<void> {
  const deadline = performance.now() + DONE_TIMEOUT_MS;
  const succeeds = (): Promise<boolean> =>
    command().then(
      () => true,
      () => false,
    );
  while (!(await succeeds())) {
    assert.ok(performance.now() < deadline, 'a container wrote its files');
    await delay(LOOK_MS);
  }
}

/** What a container says of itself. */
async function ownWords(
  run: (...argv: string[]) => Promise<string>,
): Promise<Record<string, string | number>> {
  const told: Record<string, string | number> = { 'fdspan.container.hostname': await run('hostname') };
  for (const name of NAMESPACES) {
    const link = await run('readlink', `/proc/self/ns/${name}`);
    told[`fdspan.ns.${name}`] = namespaceNumber(link);
  }
  return told;
}

test(
  'docker in docker, and a pod in it as in a kind node: each container has its own files, and the outer one as its parent',
  { skip: whyNoKernelTests() ?? whyNoDocker() ?? false },
  async (t) => {
    const daemon = await startDocker();
    t.after(() => daemon.stop());
    const [outerName] = twoNames();
    const [early, late] = [`${outerName}-early`, `${outerName}-late`];
    const outer = await startOuterContainer(daemon, outerName);
    const earlyId = await outer.runInner(early, script(early));
    const receiver = await startReceiver({ protocol: 'grpc' });
    t.after(() => receiver.close());
    const collector = await startCollector({
      endpoint: receiver.endpoint,
      containerIds: [],
      set: {
        'containers.runtimes': JSON.stringify(onlyAsk({ docker: daemon.socketPath })),
        'files.include': JSON.stringify([`/tmp/${outerName}-*`]),
        'scope.adopt_open': 'false',
      },
    });
    t.after(() => collector.kill());

    const pod = { id: randomBytes(32).toString('hex'), uid: randomUUID(), marker: `${outerName}-pod` };
    await outer.runInnerPod(pod.id, pod.uid, scriptAtOnce(pod.marker));
    const lateId = await outer.runInner(late, scriptAtOnce(late));
    await outer.runInInner(earlyId, 'touch', '/go');
    await outer.run('/bin/sh', '-c', scriptAtOnce(`${outerName}-own`).replace(/mkdir.*$/, ':'));
    for (const id of [earlyId, lateId])
      await untilSucceeds(() => outer.runInInner(id, 'test', '-d', '/done'));
    await untilSucceeds(() => outer.run('test', '-d', '/tmp/pod-root/done'));
    const words = {
      outer: await ownWords((...argv) => outer.run(...argv)),
      early: await ownWords((...argv) => outer.runInInner(earlyId, ...argv)),
      late: await ownWords((...argv) => outer.runInInner(lateId, ...argv)),
    };
    await collector.stop();

    const inner = { 'container.runtime.name': 'docker', 'fdspan.container.parent.id': outer.id };
    checkFiles(receiver, `${outerName}-own`, {
      ...words.outer,
      'container.id': outer.id,
      'container.name': outerName,
      'fdspan.container.parent.id': undefined,
    });
    checkFiles(receiver, early, { ...words.early, ...inner, 'container.id': earlyId });
    checkFiles(receiver, late, { ...words.late, ...inner, 'container.id': lateId });
    checkFiles(receiver, pod.marker, {
      'container.id': pod.id,
      'k8s.pod.uid': pod.uid,
      'fdspan.container.parent.id': outer.id,
    });
    assert.equal(receiver.spans.length, 4 * OPENS, 'nothing else');
  },
);
