// fdspan's own files make no span, whatever number it has in its own pid namespace.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { startCollector, whyNoKernelTests } from '../helpers/collector-process.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';

const skip = whyNoKernelTests() ?? false;

/** Processes below this one, as this machine numbers them. */
function descendants(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean);
  return children.map(Number).flatMap((child) => [child, ...descendants(child)]);
}

for (const scopeBy of ['auto', 'mntns'] as const) {
  test(
    `in a pid namespace of its own, with the host's files traced by ${scopeBy}, fdspan traces none of its own`,
    { skip },
    async (t) => {
      const receiver = await startReceiver({ protocol: 'http/protobuf' });
      t.after(() => receiver.close());
      const collector = await startCollector({
        endpoint: receiver.endpoint,
        protocol: 'http/protobuf',
        containerIds: null,
        // Signals come to unshare, which ends at once; its child is ended by it, and so is asked to stop by itself.
        prefix: ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child=SIGTERM', '--'],
        set: {
          'scope.host': 'true',
          'scope.by': scopeBy,
          'files.exclude': '[]',
          'files.exclude_filesystems': '[]',
        },
      });
      t.after(() => collector.kill());
      const own = descendants(collector.pid);
      assert.ok(own.length >= 1, 'fdspan is a child of unshare');
      // What this process opens is the host's, and is seen: so would fdspan's own files be.
      readFileSync('/etc/passwd');
      await receiver.waitFor(({ spans }) =>
        spans.some(({ span }) => span.attributes['process.pid'] === process.pid),
      );
      await collector.kill();
      const traced = receiver.spans.filter(({ span }) =>
        own.includes(span.attributes['process.pid'] as number),
      );
      assert.deepEqual(
        traced.map(({ span }) => span.attributes['file.path']),
        [],
      );
    },
  );
}
