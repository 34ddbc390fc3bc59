// Expected names are what Kubernetes' controllers make of the workload's name: NAME-HASH-RANDOM for deployments,
// NAME-ORDINAL for stateful sets, NAME-RANDOM for daemon sets and jobs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { workloadOfPod } from '../../src/containers/runtimes/workload.ts';

function workload(podName: string, labels: Record<string, string>): string | null {
  const found = workloadOfPod(podName, new Map(Object.entries(labels)));
  return found === null ? null : `${found.kind} ${found.name}`;
}

test("finds the workload by its controller's labels", () => {
  const hash = { app: 'web', 'pod-template-hash': '7d4b8c9f6d' };
  assert.equal(workload('web-7d4b8c9f6d-x2k9p', hash), 'deployment web');
  assert.equal(workload('my-web-2-7d4b8c9f6d-x2k9p', hash), 'deployment my-web-2');
  assert.equal(
    workload('db-10', { 'statefulset.kubernetes.io/pod-name': 'db-10', 'controller-revision-hash': 'db-5f' }),
    'statefulset db',
  );
  const daemon = { 'controller-revision-hash': '6c8f9b7c5d', 'pod-template-generation': '3' };
  assert.equal(workload('kube-proxy-vx7kq', daemon), 'daemonset kube-proxy');
  assert.equal(workload('backup-28xk4', { 'job-name': 'backup' }), 'job backup');
  assert.equal(workload('backup-7-28xk4', { 'batch.kubernetes.io/job-name': 'backup' }), 'job backup');
});

test("a cron job's pod tells of its job only: nothing proves the number at the end of the job's name", () => {
  const labels = { 'batch.kubernetes.io/job-name': 'report-29401440' };
  assert.equal(workload('report-29401440-7hzqx', labels), 'job report-29401440');
});

test('tells nothing where labels and name disagree, are absent, or were cut', () => {
  assert.equal(workload('web-7d4b8c9f6d-x2k9p', {}), null);
  assert.equal(workload('web', { 'pod-template-hash': '7d4b8c9f6d' }), null);
  assert.equal(workload('web-55555-x2k9p', { 'pod-template-hash': '7d4b8c9f6d' }), null);
  assert.equal(workload('-7d4b8c9f6d-x2k9p', { 'pod-template-hash': '7d4b8c9f6d' }), null);
  assert.equal(workload('7d4b8c9f6d-x2k9p', { 'pod-template-hash': '7d4b8c9f6d' }), null);
  assert.equal(workload('web-7d4b8c9f6d-aeiou', { 'pod-template-hash': '7d4b8c9f6d' }), null);
  assert.equal(workload('db-10', { 'statefulset.kubernetes.io/pod-name': 'db-11' }), null);
  assert.equal(workload('db-x', { 'statefulset.kubernetes.io/pod-name': 'db-x' }), null);
  assert.equal(workload('db', { 'statefulset.kubernetes.io/pod-name': 'db' }), null);
  assert.equal(workload('kube-proxy-vx7kq', { 'controller-revision-hash': '6c8f9b7c5d' }), null);
  assert.equal(workload('backup-28xk4', { 'job-name': 'other' }), null);
  assert.equal(workload('backup-x-28xk4', { 'job-name': 'backup' }), null);
  // The API server keeps 58 characters before the suffix: here the cut fell behind a dash of the name.
  const daemon = { 'controller-revision-hash': '6c8f9b7c5d', 'pod-template-generation': '3' };
  assert.equal(workload(`${'a'.repeat(57)}-vx7kq`, daemon), null);
});

test('takes any names and labels without a throw', () => {
  const hostile = [
    '',
    '-',
    '--',
    '../..',
    'A',
    'é',
    '\ud800',
    '\0',
    'a'.repeat(1 << 20),
    'constructor',
    '__proto__',
  ];
  for (const text of hostile) {
    for (const key of ['pod-template-hash', 'job-name', 'statefulset.kubernetes.io/pod-name']) {
      assert.equal(workload(text, { [key]: text }), null);
      assert.equal(workload(`${text}-x2k9p`, { [key]: text === '' ? '!' : '' }), null);
    }
  }
});
