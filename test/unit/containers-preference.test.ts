import assert from 'node:assert/strict';
import { test } from 'node:test';
import { underManager } from '../../src/containers/preference.ts';

const ofCrun = { id: 'a'.repeat(64), runtimeName: 'crun', name: 'a'.repeat(64), ociRuntime: 'crun' };

test("a manager's container stays one when only its OCI runtime's state tells of it", () => {
  const metadata = underManager(ofCrun, 'podman');
  assert.deepEqual(metadata, { id: ofCrun.id, runtimeName: 'podman', ociRuntime: 'crun' });
});

test('what a manager tells, and what runs under none, stays as it is', () => {
  const ofPodman = { ...ofCrun, runtimeName: 'podman', name: 'web' };
  assert.equal(underManager(ofPodman, 'podman'), ofPodman);
  assert.equal(underManager(ofCrun, 'crun'), ofCrun);
  assert.equal(underManager(ofCrun, 'unknown'), ofCrun);
  assert.equal(underManager(null, 'docker'), null);
});
