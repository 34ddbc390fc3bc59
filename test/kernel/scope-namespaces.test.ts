// Namespaces as scopes: workloads in mount and pid namespaces of their own and in no container's group, and in a
// container's group. Expected numbers come from /proc.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { findHostNamespaces } from '../../src/bpf/host-namespace.ts';
import { LOAD_ONLY } from '../../src/bpf/probe.ts';
import { Tracer } from '../../src/bpf/tracer.ts';
import { makeContainerGroup } from '../helpers/cgroup.ts';
import { whyNoKernelTests } from '../helpers/collector-process.ts';
import { startWorkload, type ExpectedSpan, type Workload } from '../helpers/workload.ts';
import { assertSameSpans, numberOf, type SeenSpan } from './compare-spans.ts';
import { tracedRun, type OpenRun, type RunOptions, type RunResult } from './traced-run.ts';

const skip = whyNoKernelTests() ?? false;
const WAYS = [
  { by: 'mntns', type: 'mnt' },
  { by: 'pidns', type: 'pid' },
] as const;

interface Isolated {
  readonly pid: number;
  readonly id: string;
}

/** The program inside, as the host numbers it, and the name that its namespace gives it. */
function lookAt(workload: Workload, type: 'mnt' | 'pid'): Isolated {
  const pid = Number(readFileSync(`/proc/${workload.pid}/task/${workload.pid}/children`, 'utf8'));
  return { pid, id: `${type}:${statSync(`/proc/${pid}/ns/${type}`).ino}` };
}

/** The workload knows its number inside only: the host's is checked, then put back. */
function asSeenInside(spans: readonly SeenSpan[], { pid }: Isolated): SeenSpan[] {
  return spans.map((span) => {
    assert.equal(numberOf(span, 'process.pid'), pid, "process.pid is the host's");
    const own = numberOf(span, 'process.vpid');
    assert.notEqual(own, pid);
    const attributes = { ...span.attributes, 'process.pid': own, 'fdspan.thread.tid': own };
    return { ...span, attributes };
  });
}

function assertOwnSpans(
  result: Pick<RunResult, 'spans' | 'offsetNs'>,
  isolated: Isolated,
  expected: readonly ExpectedSpan[],
): void {
  const own = result.spans.filter((span) => span.resource['container.id'] === isolated.id);
  const { offsetNs } = result;
  assertSameSpans(expected, asSeenInside(own, isolated), { offsetNs, containerId: isolated.id });
}

function options(by: string, more: Partial<RunOptions> = {}): RunOptions {
  return {
    scenario: 'plain-closes',
    count: 13,
    isIsolated: true,
    set: { 'scope.by': by, 'spans.attributes': 'full' },
    ...more,
  };
}

for (const { by, type } of WAYS) {
  test(
    `${by}: two namespaces of no container's group are traced apart, the host is not`,
    { skip },
    async () => {
      let first: Isolated | undefined;
      let second: Isolated | undefined;
      let other: Workload | undefined;
      const act = async ({ group, workload }: OpenRun): Promise<void> => {
        other = await startWorkload({
          scenario: 'plain-closes',
          count: 5,
          procsFiles: [group.procsFile],
          isIsolated: true,
        });
        try {
          first = lookAt(workload, type);
          second = lookAt(other, type);
          for (let i = 0; i < 101; i++) readFileSync(import.meta.filename);
          other.go();
          workload.go();
          await Promise.all([workload.finished(), other.finished()]);
        } finally {
          await other.end();
        }
      };
      const result = await tracedRun(options(by), act);
      assert.notEqual(first!.id, second!.id);
      assertOwnSpans(result, first!, result.workload.expected);
      assertOwnSpans(result, second!, other!.result().expected);
      assert.equal(result.spans.length, result.workload.expected.length + other!.result().expected.length);
      assert.equal(result.counters.waiting, 0);
    },
  );

  test(
    `${by}: a namespace that is made while fdspan runs is traced from its first open`,
    { skip },
    async () => {
      let isolated: Isolated | undefined;
      const result = await tracedRun(options(by, { isCollectorFirst: true }), async ({ workload }) => {
        isolated = lookAt(workload, type);
        workload.go();
        await workload.finished();
      });
      assertOwnSpans(result, isolated!, result.workload.expected);
      assert.equal(result.spans.length, result.workload.expected.length);
      assert.equal(result.spans[0].resource['container.runtime.name'], undefined, 'no runtime is known');
    },
  );

  const title = `${by}: a container whose namespace got the number of one that just ended is not taken for it`;
  test(title, { skip }, async (t) => {
    const groups = [makeContainerGroup(), makeContainerGroup(), makeContainerGroup()];
    for (const group of groups) t.after(() => group.remove());
    const runs: { isolated: Isolated; expected: readonly ExpectedSpan[] }[] = [];
    const set = { 'scope.by': by, 'spans.attributes': 'full' };
    const containerIds = groups.map(({ id }) => id);
    const result = await tracedRun({ scenario: 'plain-closes', count: 1, containerIds, set }, async () => {
      for (const { procsFile } of groups) {
        const [isolated, expected] = await runIn(procsFile, type);
        runs.push({ isolated, expected });
      }
    });
    runs.forEach(({ isolated, expected }, index) =>
      assertOwnSpans(result, { ...isolated, id: groups[index].id }, expected),
    );
    const own = result.spans.filter((span) => span.resource['container.id'] === groups[0].id);
    assert.equal(own[0].resource['container.runtime.name'], 'docker');
    assert.equal(own[0].resource['fdspan.cgroup.path'], groups[0].path);
    assert.equal(own[0].resource['fdspan.cgroup.id'], String(statSync(groups[0].folder).ino));
    if (type === 'mnt')
      sayNumbers(
        t,
        runs.map(({ isolated }) => isolated.id),
      );
  });

  test(`${by}: a container inside a container has the outer one as its parent`, { skip }, async (t) => {
    const outer = makeContainerGroup();
    t.after(() => outer.remove());
    const innerId = 'c0ffee'.padEnd(64, '0');
    const inner = outer.nest(`docker-${innerId}.scope`);
    const set = { 'scope.by': by, 'spans.attributes': 'full' };
    const ends: [Isolated, readonly ExpectedSpan[]][] = [];
    const options = { scenario: 'plain-closes', count: 1, containerIds: [outer.id, innerId], set };
    const result = await tracedRun(options, async () => {
      for (const group of [outer, inner]) ends.push(await runIn(group.procsFile, type));
    });
    [outer.id, innerId].forEach((id, index) =>
      assertOwnSpans(result, { ...ends[index][0], id }, ends[index][1]),
    );
    const parents = new Map(
      result.spans.map(({ resource }) => [
        resource['container.id'],
        resource['fdspan.container.parent.id'] ?? null,
      ]),
    );
    assert.deepEqual(Object.fromEntries(parents), { [outer.id]: null, [innerId]: outer.id });
  });
}

/** Starts a workload in a group and runs it to its end. */
async function runIn(procsFile: string, type: 'mnt' | 'pid'): Promise<[Isolated, readonly ExpectedSpan[]]> {
  const workload = await startWorkload({
    scenario: 'plain-closes',
    count: 3,
    procsFiles: [procsFile],
    isIsolated: true,
  });
  try {
    const isolated = lookAt(workload, type);
    workload.go();
    return [isolated, (await workload.finished()).expected];
  } finally {
    await workload.end();
  }
}

/** Without a number that was given twice, nothing is proven. */
function sayNumbers(t: TestContext, ids: readonly string[]): void {
  if (new Set(ids).size === ids.length) t.skip(`no number was given again: ${ids.join(', ')}`);
}

test('the list of namespaces that any task is in is that of /proc', { skip }, async () => {
  for (const { by, type } of WAYS) {
    const workload = await startWorkload({
      scenario: 'plain-closes',
      count: 1,
      procsFiles: [],
      isIsolated: true,
    });
    const hostNamespaces = await findHostNamespaces(null);
    const tracer = await Tracer.open({
      ...LOAD_ONLY,
      hostMountNamespace: hostNamespaces.mnt,
      hostPidNamespace: hostNamespaces.pid,
      scopeBy: by,
      byCgroup2: false,
    });
    try {
      // Others of this machine may start and end containers meanwhile.
      const before = namespacesOfProc(type, hostNamespaces[type]);
      const scopes = await tracer.listNamespaces();
      const after = namespacesOfProc(type, hostNamespaces[type]);
      const listed = new Set([...scopes].map((scope) => Number(scope & 0xffff_ffffn)));
      for (const number of before) assert.ok(listed.has(number) || !after.has(number), `${number} is missed`);
      for (const number of listed) assert.ok(before.has(number) || after.has(number), `${number} is nowhere`);
      assert.ok(listed.has(Number(lookAt(workload, type).id.slice(type.length + 1))));
    } finally {
      tracer.close();
      await workload.end();
    }
  }
});

function namespacesOfProc(type: string, host: number): Set<number> {
  const found = new Set<number>();
  for (const name of readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(name)) continue;
    try {
      found.add(statSync(`/proc/${name}/ns/${type}`).ino);
    } catch {
      // It ended meanwhile.
    }
  }
  found.delete(host);
  return found;
}
