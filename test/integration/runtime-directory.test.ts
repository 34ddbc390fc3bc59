// All runtimes behind one question, with a real dockerd behind a door that can be shut: what isn't told in time is told
// when docker answers.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { RuntimeDirectory } from '../../src/containers/runtime-directory.ts';
import type { ContainerMetadata } from '../../src/containers/runtimes/runtime-source.ts';
import { startDocker, whyNoDocker } from '../helpers/docker.ts';

const WAIT_MS = 700;
/** Reason: a pause after two failures is 1.5 s at most. */
const LATER_MS = 20_000;

/** A socket whose connections hang until it is opened. */
async function startDoor(t: TestContext, target: string): Promise<{ path: string; open(): void }> {
  const folder = await mkdtemp(join(tmpdir(), 'fdspan-door-'));
  const path = join(folder, 'docker.sock');
  const sockets = new Set<Socket>();
  let isOpen = false;
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    if (!isOpen) return;
    const behind = connect(target).on('error', () => socket.destroy());
    sockets.add(behind);
    socket.pipe(behind).pipe(socket);
  }).listen(path);
  await once(server, 'listening');
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await rm(folder, { recursive: true });
  });
  return { path, open: () => void (isOpen = true) };
}

test(
  'what a runtime did not tell in time is told when it answers',
  { skip: whyNoDocker() ?? false },
  async (t) => {
    const docker = await startDocker();
    t.after(() => docker.stop());
    const id = await docker.create({ name: 'late', script: 'true', labels: { a: 'b' } });
    const door = await startDoor(t, docker.socketPath);
    const later: ContainerMetadata[] = [];
    const states: string[] = [];
    const directory = new RuntimeDirectory({
      settings: { docker: [door.path], podman: [], containerd: [], cri: [], state: false },
      waitMs: WAIT_MS,
      listener: {
        changed: () => {},
        foundLater: (metadata) => later.push(metadata),
        state: (source, isAnswering) => states.push(`${source.split(' ')[0]} ${isAnswering}`),
      },
    });
    t.after(() => directory.close());
    await directory.discover();
    assert.equal(await directory.find({ id, cgroupPath: `/docker/${id}` }, 'docker'), null);
    assert.equal(later.length, 0);
    assert.ok(directory.counts.runtime_lookups_failed > 0, 'docker was asked');
    door.open();
    const endMs = performance.now() + LATER_MS;
    while (later.length === 0 && performance.now() < endMs) await delay(20);
    assert.equal(later[0]?.name, 'late', states.join());
    assert.equal(later[0].labels?.get('a'), 'b');
  },
);
