// Real applications in real containers, traced together: what each says it did, against its spans and traces.
import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { findCommand } from '../helpers/busybox-image.ts';
import { startCollector, whyNoKernelTests } from '../helpers/collector-process.ts';
import { startContainer, whyNoContainers, type RunningContainer } from '../helpers/container.ts';
import { startReceiver, type ReceivedSpan } from '../helpers/otlp-receiver.ts';
import { assertTraces } from '../helpers/traces.ts';

const skip = whyNoKernelTests() ?? whyNoContainers('runc') ?? false;
/** Two minutes at most: a container that can't see the file must not wait for ever. */
const WAIT = 'n=0; while [ ! -e /go/go ] && [ $n -lt 2400 ]; do n=$((n + 1)); sleep 0.05; done';
/** The host's programs and their libraries, for applications that aren't busybox's. */
const HOST_PROGRAMS = ['/usr:/usr:ro', '/lib:/lib:ro', '/lib64:/lib64:ro'];

/** Redirections, a pipeline, a here-document, a subshell, a process that fails. */
const SHELL = `
mkdir /tmp/job && cd /tmp/job
echo one > list
echo two >> list
while read -r line; do echo "got $line"; done < list > got
cat list got | sort > sorted
cp sorted copy
exec 5> lock
sh -c 'exit 7' || echo $? > failed
exec 5>&-
cat /etc/shadow /tmp/job/none > /dev/null 2>&1
grep -c got sorted > count
cat count failed
`;

const REQUESTS = 40;
const HTTPD = `
echo hello > /srv/index.html
httpd -p 127.0.0.1:8080 -h /srv
i=0
while [ $i -lt ${REQUESTS} ]; do
  wget -q -O /tmp/page http://127.0.0.1:8080/index.html && i=$((i + 1))
done
wget -q -O /tmp/none http://127.0.0.1:8080/none
cmp /tmp/page /srv/index.html && echo same
`;

const TRANSACTIONS = 9;
const SQLITE = `
cd /srv
{
  echo 'PRAGMA journal_mode=DELETE; CREATE TABLE t (x);'
  i=0; while [ $i -lt ${TRANSACTIONS} ]; do i=$((i + 1)); echo "INSERT INTO t VALUES ($i);"; done
} > load.sql
sqlite3 data.db < load.sql
sqlite3 -readonly data.db 'SELECT count(*) FROM t'
`;

const FILES = 25;
/** Prints its pid in the container, and how long it knows a file to be open, and ends with 5. */
const NODE = `
const { promises, mkdirSync, openSync, closeSync } = require('node:fs');
(async () => {
  mkdirSync('/srv/data');
  const names = Array.from({ length: ${FILES} }, (_, index) => '/srv/data/' + index + '.json');
  await Promise.all(names.map((name) => promises.writeFile(name, '{}')));
  await Promise.all(names.map((name) => promises.readFile(name)));
  const held = openSync('/srv/data/held', 'a+');
  const opened = process.hrtime.bigint();
  await promises.appendFile('/srv/data/log', 'x');
  await new Promise((resolve) => setTimeout(resolve, 300));
  const heldNs = process.hrtime.bigint() - opened;
  closeSync(held);
  console.log(JSON.stringify({ pid: process.pid, heldNs: String(heldNs) }));
  process.exit(5);
})();
`;

interface Application {
  readonly container: RunningContainer;
  readonly exitCode: number;
  readonly output: string;
  readonly files: readonly ReceivedSpan[];
  readonly roots: readonly ReceivedSpan[];
}

const scripts: Readonly<Record<string, string>> = {
  shell: `${WAIT}\n${SHELL}`,
  httpd: `${WAIT}\n${HTTPD}`,
  sqlite: `${WAIT}\n${SQLITE}`,
  node: `${WAIT}\nexec /opt/node /opt/app.js`,
};

describe('applications', { skip }, () => {
  const applications = new Map<string, Application>();
  let folder = '';

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fdspan-applications-'));
    // Also for a container's user that isn't root.
    await chmod(folder, 0o755);
    await writeFile(join(folder, 'app.js'), NODE);
    const started: [string, RunningContainer][] = [];
    const receiver = await startReceiver({ protocol: 'grpc' });
    try {
      for (const [name, script] of Object.entries(scripts)) {
        const volumes = [`${folder}:/go:ro`];
        if (name === 'sqlite' || name === 'node') volumes.push(...HOST_PROGRAMS);
        if (name === 'node')
          volumes.push(`${process.execPath}:/opt/node:ro`, `${join(folder, 'app.js')}:/opt/app.js:ro`);
        const user = name === 'shell' ? { user: '1000:1000' } : {};
        started.push([name, await startContainer({ runtime: 'runc', name, script, volumes, ...user })]);
      }
      await traceAll(started, receiver, join(folder, 'go'), applications);
    } finally {
      for (const [, container] of started) await container.stop();
      await receiver.close();
    }
  });

  after(() => rm(folder, { recursive: true, force: true }));

  const application = (name: string): Application => applications.get(name)!;

  test('every file is below the root of its process, which counts it, in all containers at once', () => {
    for (const { files, roots } of applications.values()) {
      assert.ok(files.length > 0);
      assertTraces(files, roots);
    }
  });

  test('a shell script: each program has the files that it opened, its name and its exit code', () => {
    const { files, roots, exitCode, output } = application('shell');
    assert.equal(exitCode, 0, output);
    assert.equal(output.match(/[0-9]+$/gm)?.join(' '), '2 7', output);
    const opened = Map.groupBy(files, pathOf);
    const of = (path: string): string[] =>
      (opened.get(path) ?? [])
        .map(
          ({ span }) =>
            `${span.attributes['thread.name'] as string} ${span.attributes['fdspan.access'] as string}`,
        )
        .sort();
    assert.deepEqual(of('/tmp/job/list'), ['cat read', 'sh read', 'sh write', 'sh write']);
    assert.deepEqual(of('/tmp/job/got'), ['cat read', 'sh write']);
    assert.deepEqual(of('/tmp/job/sorted'), ['cp read', 'grep read', 'sh write']);
    assert.deepEqual(of('/tmp/job/copy'), ['cp write']);
    assert.deepEqual(of('/tmp/job/lock'), ['sh write']);
    assert.deepEqual(of('/tmp/job/failed'), ['cat read', 'sh write']);
    assert.deepEqual(of('/tmp/job/count'), ['cat read', 'sh write']);
    const [refused] = opened.get('/etc/shadow') ?? [];
    assert.equal(refused.span.attributes['error.type'], 'EACCES');
    assert.deepEqual(of('/tmp/job/none'), [], 'what is not there is no span by default');
    const cats = roots.filter(({ span }) => span.name === 'process cat');
    assert.deepEqual(cats.map(({ span }) => Number(span.attributes['process.exit.code'])).sort(), [0, 0, 1]);
  });

  test(`a web server: each of ${REQUESTS} requests is a process that opened the page once`, () => {
    const { files, roots, exitCode, output } = application('httpd');
    assert.equal(exitCode, 0, output);
    assert.match(output, /same$/m);
    const served = files.filter(
      ({ span }) =>
        span.attributes['file.path'] === '/srv/index.html' && span.attributes['thread.name'] === 'httpd',
    );
    assert.equal(served.length, REQUESTS);
    assert.equal(new Set(served.map(({ span }) => span.traceId)).size, REQUESTS);
    const rootOf = new Map(roots.map(({ span }) => [span.traceId, span]));
    for (const { span } of served) {
      const root = rootOf.get(span.traceId)!;
      assert.equal(root.name, 'process httpd');
      assert.equal(Number(root.attributes['fdspan.files.read']), 1);
      assert.equal(root.attributes['fdspan.slice.end'], 'exit');
    }
    const pages = files.filter(({ span }) => span.attributes['file.path'] === '/tmp/page');
    assert.equal(pages.filter(({ span }) => span.attributes['fdspan.access'] === 'write').length, REQUESTS);
  });

  test(
    'SQLite: the database is open from first to last, around a journal for each transaction',
    { skip: findCommand('sqlite3') === null ? "sqlite3 isn't installed (apt-get install sqlite3)" : false },
    () => {
      const { files, roots, exitCode, output } = application('sqlite');
      assert.equal(exitCode, 0, output);
      assert.match(output, new RegExp(`\\b${TRANSACTIONS}$`, 'm'));
      const of = (path: string): ReceivedSpan[] =>
        files.filter(({ span }) => span.attributes['file.path'] === path);
      const [database, reader] = of('/srv/data.db');
      assert.equal(of('/srv/data.db').length, 2);
      assert.equal(database.span.attributes['fdspan.access'], 'read_write');
      assert.equal(reader.span.attributes['fdspan.access'], 'read');
      const journals = of('/srv/data.db-journal');
      assert.equal(journals.length, TRANSACTIONS + 1, 'one for each, and one for the table');
      for (const { span } of journals) {
        assert.equal(span.parentSpanId, database.span.parentSpanId, 'of one process');
        assert.ok(span.startTimeUnixNano > database.span.startTimeUnixNano);
        assert.ok(span.endTimeUnixNano < database.span.endTimeUnixNano);
      }
      const root = roots.find(({ span }) => span.traceId === database.span.traceId);
      assert.equal(root?.span.name, 'process sqlite3');
    },
  );

  test('a Node application: files opened by its worker threads are its own, and a held file lasts as long as it says', () => {
    const { files, roots, exitCode, output } = application('node');
    assert.equal(exitCode, 5, output);
    const said = JSON.parse(output.slice(output.indexOf('{'))) as { pid: number; heldNs: string };
    const own = files.filter((file) => pathOf(file).startsWith('/srv/data/'));
    for (let index = 0; index < FILES; index += 1) {
      const accesses = own
        .filter(({ span }) => span.attributes['file.path'] === `/srv/data/${index}.json`)
        .map(({ span }) => span.attributes['fdspan.access']);
      assert.deepEqual(accesses, ['write', 'read']);
    }
    assert.equal(own.length, 2 * FILES + 2);
    const pids = new Set(own.map(({ span }) => span.attributes['process.pid']));
    const threads = new Set(own.map(({ span }) => span.attributes['fdspan.thread.tid']));
    assert.equal(pids.size, 1);
    assert.ok(threads.size > 1, 'the pool of libuv opens them');
    const held = own.find(({ span }) => span.attributes['file.path'] === '/srv/data/held')!.span;
    assert.ok(held.endTimeUnixNano - held.startTimeUnixNano >= BigInt(said.heldNs));
    assert.equal(held.attributes['fdspan.access'], 'read_write');
    const root = roots.find(({ span }) => span.traceId === held.traceId)!.span;
    assert.equal(root.name, 'process node');
    assert.equal(Number(root.attributes['process.exit.code']), 5);
    assert.equal(Number(root.attributes['process.vpid']), said.pid);
    assert.ok(root.endTimeUnixNano - root.startTimeUnixNano >= BigInt(said.heldNs));
    assert.equal(new Set(own.map(({ span }) => span.traceId)).size, 1);
  });
});

function pathOf({ span }: ReceivedSpan): string {
  return span.attributes['file.path'] as string;
}

/** Lets the containers run to their ends under a collector, and sorts what was sent by container. */
async function traceAll(
  started: readonly [string, RunningContainer][],
  receiver: Awaited<ReturnType<typeof startReceiver>>,
  goFile: string,
  applications: Map<string, Application>,
): Promise<void> {
  const collector = await startCollector({
    endpoint: receiver.endpoint,
    containerIds: started.map(([, { id }]) => id),
  });
  try {
    await writeFile(goFile, '');
    const exitCodes = await Promise.all(started.map(([, container]) => container.wait()));
    await collector.stop();
    for (const [index, [name, container]] of started.entries()) {
      const isOwn = ({ resource }: ReceivedSpan): boolean =>
        resource.attributes['container.id'] === container.id;
      applications.set(name, {
        container,
        exitCode: exitCodes[index],
        output: (await container.logs()).replaceAll(/^\S+ (stdout|stderr) [FP] /gm, '').trim(),
        files: receiver.spans.filter(isOwn),
        roots: receiver.roots.filter(isOwn),
      });
    }
  } finally {
    await collector.kill();
  }
}
