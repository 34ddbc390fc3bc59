// fdspan as a user of its own with only the capabilities of the documents, on a real container.
import assert from 'node:assert/strict';
import { chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { runToExit, startCollector, whyNoKernelTests } from '../helpers/collector-process.ts';
import { startContainer, whyNoContainers } from '../helpers/container.ts';
import { startReceiver, type ReceivedSpan } from '../helpers/otlp-receiver.ts';

const skip = whyNoKernelTests() ?? whyNoContainers('crun') ?? false;

const OPENS = 17;
/** Of nobody on any machine. */
const USER = 54_321;
const ALL = ['bpf', 'perfmon', 'dac_read_search', 'dac_override'];
const WAIT = 'while [ ! -e /go/go ]; do sleep 0.05; done';
const SCRIPT = `${WAIT}; i=0; while [ $i -lt ${OPENS} ]; do echo hi > /tmp/own-$i; i=$((i+1)); done`;

function asUser(capabilities: readonly string[]): string[] {
  const list = capabilities.map((name) => `+${name}`).join(',');
  const ids = ['--reuid', String(USER), '--regid', String(USER), '--clear-groups', '--no-new-privs'];
  return ['setpriv', ...ids, '--bounding-set', `-all,${list}`, '--inh-caps', list, '--ambient-caps', list];
}

interface Run {
  readonly spans: readonly ReceivedSpan[];
  readonly containerId: string;
  readonly capabilities: bigint;
}

async function run(t: TestContext, capabilities: readonly string[]): Promise<Run> {
  const folder = mkdtempSync(join(tmpdir(), 'fdspan-privileges-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const own = mkdtempSync(join(tmpdir(), 'fdspan-own-'));
  t.after(() => rmSync(own, { recursive: true, force: true }));
  chownSync(own, USER, USER);
  const receiver = await startReceiver({ protocol: 'grpc' });
  t.after(() => receiver.close());
  const name = `privileges-${capabilities.length}`;
  const container = await startContainer({
    runtime: 'crun',
    name,
    script: SCRIPT,
    volumes: [`${folder}:/go:ro`],
  });
  t.after(() => container.stop());
  const collector = await startCollector({
    endpoint: receiver.endpoint,
    containerIds: [container.id],
    prefix: asUser(capabilities),
    set: { 'control.socket': join(own, 'control.sock'), 'control.state_file': join(own, 'state') },
  });
  t.after(() => collector.kill());
  const status = readFileSync(`/proc/${collector.pid}/status`, 'utf8');
  assert.match(status, new RegExp(`^Uid:\\t${USER}\\t${USER}\\t`, 'm'));
  await writeFile(join(folder, 'go'), '');
  assert.equal(await container.wait(), 0, await container.logs());
  const { counters } = await collector.stop();
  assert.equal(counters.spans_accepted, receiver.spans.length);
  return {
    spans: receiver.spans,
    containerId: container.id,
    capabilities: BigInt(`0x${/^CapEff:\t([0-9a-f]+)$/m.exec(status)![1]}`),
  };
}

function assertSpans({ spans, containerId }: Run): void {
  const paths = spans.map(({ span }) => span.attributes['file.path']);
  assert.deepEqual(
    paths,
    Array.from({ length: OPENS }, (_, index) => `/tmp/own-${index}`),
    'no open of the runtime is taken for the container’s',
  );
  for (const { span, resource } of spans) {
    assert.equal(resource.attributes['container.id'], containerId);
    assert.equal(span.attributes['fdspan.phase'], 'container');
  }
}

test(
  'with four capabilities an unprivileged user traces a container and learns who it is',
  { skip },
  async (t) => {
    const result = await run(t, ALL);
    assertSpans(result);
    // CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_PERFMON, CAP_BPF of linux/capability.h.
    assert.equal(result.capabilities, (1n << 1n) | (1n << 2n) | (1n << 38n) | (1n << 39n));
    for (const { resource } of result.spans)
      assert.equal(
        resource.attributes['fdspan.oci.runtime'],
        'crun',
        "from the runtime's state, which root owns",
      );
  },
);

test('CAP_BPF and CAP_PERFMON alone trace; what files of root tell is missing', { skip }, async (t) => {
  const result = await run(t, ALL.slice(0, 2));
  assertSpans(result);
  for (const { resource } of result.spans) {
    assert.equal(resource.attributes['container.runtime.name'], 'podman', 'from the group’s path');
    assert.equal(resource.attributes['fdspan.oci.runtime'], undefined);
  }
});

test(
  'without a capability the exit code is 77, and the cure names those that are needed',
  { skip },
  async () => {
    const { exitCode, stderr } = await runToExit(['run'], { uid: USER });
    assert.equal(exitCode, 77);
    assert.match(stderr, /CAP_BPF, CAP_PERFMON/);
  },
);
