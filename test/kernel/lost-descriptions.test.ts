// A ring that is full when a container's first program is executed: what couldn't be told of it then is told later.
import assert from 'node:assert/strict';
import { readFileSync, readlinkSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'node:test';
import { makeContainerGroup } from '../helpers/cgroup.ts';
import { runToExit, startCollector, whyNoKernelTests } from '../helpers/collector-process.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { startWorkload } from '../helpers/workload.ts';

const skip = whyNoKernelTests() ?? false;
/** Bytes; a burst of 5,000 records is more than it holds. */
const RING = '64KiB';
const BURST = 5003;
const FILES = 7;
/** Reason: fdspan looks once a second whether records were lost. */
const TOLD_TIMEOUT_MS = 20_000;
const LOOK_MS = 50;

test(
  "a container's namespaces and host name are told again when the ring was full at its first program",
  { skip },
  async (t) => {
    const receiver = await startReceiver({ protocol: 'http/protobuf' });
    t.after(() => receiver.close());
    const folder = await mkdtemp(join(tmpdir(), 'fdspan-lost-'));
    t.after(() => rm(folder, { recursive: true }));
    const controlSocket = join(folder, 'control.sock');
    const [filler, late] = [makeContainerGroup(), makeContainerGroup()];
    for (const group of [filler, late]) t.after(() => group.remove());
    const burst = await startWorkload({ scenario: 'burst', count: BURST, procsFiles: [filler.procsFile] });
    t.after(() => burst.end());
    const collector = await startCollector({
      endpoint: receiver.endpoint,
      protocol: 'http/protobuf',
      containerIds: [filler.id, late.id],
      set: { 'limits.ring': RING, 'limits.metadata_wait': '1ms', 'control.socket': controlSocket },
    });
    t.after(() => collector.kill());
    const firstProcess = async (id: string): Promise<unknown> => {
      const { stdout } = await runToExit([
        'containers',
        '--json',
        '--set',
        `control.socket=${controlSocket}`,
      ]);
      const listed = JSON.parse(stdout) as { id: string; pid: number }[];
      return listed.find((container) => container.id === id)?.pid;
    };

    process.kill(collector.pid, 'SIGSTOP');
    burst.go();
    await burst.finished();
    const workload = await startWorkload({
      scenario: 'plain-closes',
      count: FILES,
      procsFiles: [late.procsFile],
    });
    t.after(() => workload.end());
    process.kill(collector.pid, 'SIGCONT');
    const links = {
      'fdspan.ns.mnt': 'mnt',
      'fdspan.ns.pid': 'pid',
      'fdspan.ns.uts': 'uts',
      'fdspan.ns.net': 'net',
    };
    const expected = Object.fromEntries(
      Object.entries(links).map(([key, name]) => {
        const [, inode] = /\[(\d+)\]/.exec(readlinkSync(`/proc/${workload.pid}/ns/${name}`)) ?? [];
        return [key, Number(inode)];
      }),
    );
    const deadline = performance.now() + TOLD_TIMEOUT_MS;
    while ((await firstProcess(late.id)) !== workload.pid) {
      assert.ok(performance.now() < deadline, 'the container is described');
      await delay(LOOK_MS);
    }
    workload.go();
    await workload.finished();
    const { counters } = await collector.stop();
    assert.ok(counters.scope_records_lost > 0, JSON.stringify(counters));
    const own = receiver.spans.filter(({ resource }) => resource.attributes['container.id'] === late.id);
    assert.equal(own.length, 2 * FILES, 'two descriptors a file');
    const { attributes } = own[0].resource;
    assert.deepEqual(
      Object.fromEntries(Object.keys(expected).map((key) => [key, attributes[key]])),
      expected,
    );
    assert.equal(
      attributes['fdspan.container.hostname'],
      readFileSync('/proc/sys/kernel/hostname', 'utf8').trim(),
    );
  },
);
