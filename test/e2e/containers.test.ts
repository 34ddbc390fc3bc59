// Real containers, two at once, by podman with runc and with crun: every span carries the right container, and
// no span is the host's or fdspan's. What arrives is decoded by the official protocol's definitions.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { startCollector, whyNoKernelTests } from '../helpers/collector-process.ts';
import { startContainer, whyNoContainers, type OciRuntime } from '../helpers/container.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';

const OPENS = 17;

/** Waits for its file `go`, then writes its own files by redirection; what it looks at meanwhile isn't opened. */
function script(name: string): string {
  const wait = 'while [ ! -e /go/go ]; do sleep 0.05; done';
  return `${wait}; i=0; while [ $i -lt ${OPENS} ]; do echo hi > /tmp/${name}-$i; i=$((i+1)); done`;
}

const combinations = (['runc', 'crun'] as const).flatMap((runtime) =>
  (['grpc', 'http/protobuf'] as const).flatMap((protocol) =>
    (['none', 'gzip', 'zstd'] as const).map((compression) => ({ runtime, protocol, compression })),
  ),
);

function whyNot(runtime: OciRuntime): string | false {
  return whyNoKernelTests() ?? whyNoContainers(runtime) ?? false;
}

for (const { runtime, protocol, compression } of combinations) {
  const title = `two containers of ${runtime} by ${protocol}, compression ${compression}: each span has its own container`;
  test(title, { skip: whyNot(runtime) }, async (t) => {
    await runTwoContainers(t, { runtime, protocol, compression });
  });
}

for (const scopeBy of ['mntns', 'pidns'] as const) {
  for (const runtime of ['runc', 'crun'] as const) {
    const title = `two containers of ${runtime}, told apart by ${scopeBy}: each span has its own container`;
    test(title, { skip: whyNot(runtime) }, async (t) => {
      await runTwoContainers(t, { runtime, protocol: 'grpc', compression: 'none', scopeBy });
    });
  }
}

interface Combination {
  readonly runtime: OciRuntime;
  readonly protocol: 'grpc' | 'http/protobuf';
  readonly compression: string;
  readonly scopeBy?: string;
}

async function runTwoContainers(
  t: TestContext,
  { runtime, protocol, compression, scopeBy = 'auto' }: Combination,
): Promise<void> {
  const go = await mkdtemp(join(tmpdir(), 'fdspan-go-'));
  t.after(() => rm(go, { recursive: true, force: true }));
  const receiver = await startReceiver({ protocol });
  t.after(() => receiver.close());
  const containers = [];
  for (const name of ['first', 'second']) {
    const container = await startContainer({
      runtime,
      name,
      script: script(name),
      volumes: [`${go}:/go:ro`],
    });
    t.after(() => container.stop());
    containers.push(container);
  }
  const collector = await startCollector({
    endpoint: receiver.endpoint,
    protocol,
    containerIds: containers.map((container) => container.id),
    set: { 'export.compression': compression, 'scope.by': scopeBy },
  });
  t.after(() => collector.kill());
  await writeFile(join(go, 'go'), '');
  for (const container of containers) assert.equal(await container.wait(), 0, await container.logs());
  const { counters } = await collector.stop();

  for (const { id, name } of containers) {
    const own = receiver.spans.filter((span) => span.resource.attributes['container.id'] === id);
    const paths = own.map(({ span }) => span.attributes['file.path']);
    assert.deepEqual(
      paths,
      Array.from({ length: OPENS }, (_, index) => `/tmp/${name}-${index}`),
    );
    for (const { span, resource } of own) {
      assert.equal(span.attributes['fdspan.close.reason'], 'dup', 'the shell puts its output back by dup2');
      assert.equal(resource.attributes['container.runtime.name'], 'podman');
      assert.equal(span.attributes['fdspan.phase'], 'container');
    }
  }
  assert.equal(receiver.spans.length, containers.length * OPENS, 'no span of the host or of fdspan itself');
  assert.equal(counters.spans_accepted, receiver.spans.length);
}
