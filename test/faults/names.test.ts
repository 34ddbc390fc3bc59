// The backend's name: gone, and then another address. The names are those of a mount namespace of the collector's own, so that
// the machine's stay as they are.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import {
  eventually,
  hasWarned,
  PROTOCOLS,
  startLoad,
  startTracing,
  tellOutcome,
} from '../helpers/fault-run.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { SpanCensus } from '../helpers/span-census.ts';

const NAME = 'backend.fdspan.test';
/** Over these files of the machine, for one process and its children. No name server is asked. */
const OWN_NAMES = 'mount --bind "$0/hosts" /etc/hosts && mount --bind "$0/nsswitch.conf" /etc/nsswitch.conf';
const IN_NAMESPACE = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c'];

function whyNot(): string | false {
  const why = whyNoKernelTests();
  if (why !== null) return why;
  const [command, ...args] = [...IN_NAMESPACE, 'mount --bind /etc/hosts /etc/hosts'];
  return spawnSync(command, args).status === 0 ? false : 'no mount over /etc/hosts in a namespace of its own';
}

const skip = whyNot();

for (const protocol of PROTOCOLS) {
  test(
    `${protocol}: a backend's name that is gone, and comes back with another address, costs no span`,
    { skip },
    async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'fdspan-faults-'));
      t.after(() => rmSync(folder, { recursive: true, force: true }));
      const nameIs = (line: string): void => writeFileSync(join(folder, 'hosts'), line);
      writeFileSync(join(folder, 'nsswitch.conf'), 'hosts: files\n');
      nameIs(`127.0.0.1 ${NAME}\n`);
      const census = new SpanCensus();
      const options = { protocol, decode: 'count', watch: census.take } as const;
      const first = await startReceiver(options);
      t.after(() => first.close());
      const load = await startLoad(t);
      const collector = await startTracing(t, load, {
        protocol,
        endpoint: `http://${NAME}:${first.port}`,
        prefix: [...IN_NAMESPACE, `${OWN_NAMES} && exec "$@"`, folder],
      });
      load.begin();
      await first.waitFor(({ requests }) => requests.length >= 2, 60_000);

      nameIs('\n');
      await first.close();
      await eventually('the missing name', () => hasWarned(collector, /ENOTFOUND|EAI_AGAIN/));

      const second = await startReceiver({ ...options, port: first.port, host: '127.0.0.2' });
      t.after(() => second.close());
      nameIs(`127.0.0.2 ${NAME}\n`);
      await second.waitFor(({ requests }) => requests.length >= 2, 60_000);
      const files = await load.end();
      const { counters } = await collector.stop();
      assert.equal(counters.spans_accepted, files);
      assert.ok(first.spanCount > 0 && second.spanCount > 0, 'both addresses were sent to');
      tellOutcome(t, 'the name is gone, then has another address', protocol, {
        files,
        counters,
        census,
        allowsDuplicates: true,
      });
    },
  );
}
