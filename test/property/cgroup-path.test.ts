import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bareContainerOf } from '../../src/containers/bare-containers.ts';
import { containerOfPath } from '../../src/containers/cgroup-path.ts';
import { parseProcCgroup } from '../../src/containers/proc-cgroup.ts';
import { textOfBytes } from '../../src/containers/byte-text.ts';

const hexId = fc.stringMatching(/^[0-9a-f]{64}$/);
const uuid = fc.uuid();
const word = fc.stringMatching(/^[a-z][a-z0-9_]{0,14}$/);
const latin1 = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
/** Pieces that the rules look for, in any order: finds more than bytes alone do. */
const pieces = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        ...'/ .. : - .scope .slice .service .mount docker libpod conmon kubepods pod besteffort lxc'.split(
          ' ',
        ),
        ...'lxc.payload. machine- systemd-nspawn@ nomad.slice ecs buildkit supervisor \\x2d \\x default'.split(
          ' ',
        ),
        ' (deleted)',
        '/sys/fs/cgroup/',
      ),
      hexId,
      uuid,
      word,
      latin1,
    ),
    { maxLength: 30 },
  )
  .map((parts) => parts.join(''));

test('never throws, and any id found stands in the path, on any bytes', () => {
  fc.assert(
    fc.property(fc.oneof(latin1, pieces), (path) => {
      const found = containerOfPath(path);
      parseProcCgroup(path);
      if (found === null) return;
      assert.notEqual(found.containerId, '');
      assert.ok(path.startsWith(found.groupPath));
      assert.ok(found.containerId !== found.parentId);
      assert.ok(path.includes(found.containerId) || path.includes('\\x'));
    }),
    { numRuns: 3000 },
  );
});

const hostUnit = fc.oneof(
  word.map((name) => `/system.slice/${name}.service`),
  fc
    .tuple(word, word)
    .map(([name, instance]) => `/system.slice/system-${name}.slice/${name}@${instance}.service`),
  hexId.map((id) => `/system.slice/${id}.service`),
  hexId.map((id) => `/system.slice/var-lib-docker-containers-${id}-mounts-shm.mount`),
  fc.nat().map((n) => `/user.slice/user-${n}.slice/session-${n}.scope`),
  fc
    .tuple(fc.nat(), word, uuid)
    .map(
      ([n, name, id]) => `/user.slice/user-${n}.slice/user@${n}.service/app.slice/app-${name}-${id}.scope`,
    ),
  uuid.map((id) => `/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-${id}.scope`),
  fc.stringMatching(/^[0-9a-f]{32}$/).map((id) => `/system.slice/run-r${id}.scope`),
  hexId.map((id) => `/machine.slice/libpod-conmon-${id}.scope`),
  fc.constantFrom(
    '/',
    '/init.scope',
    '/system.slice',
    '/user.slice',
    '/machine.slice',
    '/libpod_parent/conmon',
  ),
);

test('never takes a unit, session or slice of the host for a container', () => {
  fc.assert(
    fc.property(hostUnit, fc.nat({ max: 3 }), (path, ups) => {
      assert.equal(containerOfPath(`${'/..'.repeat(ups)}${path}`), null);
    }),
    { numRuns: 2000 },
  );
});

const madeByRuntime = fc.tuple(hexId, uuid, word).chain(([id, pod, name]) =>
  fc
    .constantFrom(
      { path: `/docker/${id}`, runtime: 'docker' },
      { path: `/system.slice/docker-${id}.scope`, runtime: 'docker' },
      { path: `/machine.slice/libpod-${id}.scope/container`, runtime: 'podman' },
      { path: `/system.slice/${name}.service/libpod-payload-${id}`, runtime: 'podman' },
      { path: `/kubepods/besteffort/pod${pod}/${id}`, runtime: 'unknown' },
      {
        path: `/kubepods.slice/kubepods-pod${pod.replaceAll('-', '_')}.slice/crio-${id}.scope`,
        runtime: 'cri-o',
      },
      { path: `/${name}.slice/cri-containerd-${id}.scope`, runtime: 'containerd' },
    )
    .map((made) => ({ ...made, id })),
);
const below = fc.constantFrom(
  '',
  '/init.scope',
  '/system.slice/x.service',
  '/init',
  '/user.slice/session-1.scope',
);

test("finds a runtime's container, alone, with groups below it, and inside another container", () => {
  fc.assert(
    fc.property(madeByRuntime, below, hexId, fc.boolean(), (made, tail, outerId, isNested) => {
      fc.pre(outerId !== made.id);
      const outer = isNested ? `/system.slice/docker-${outerId}.scope` : '';
      const found = containerOfPath(`${outer}${made.path}${tail}`);
      assert.equal(found?.containerId, made.id);
      assert.equal(found?.runtime, made.runtime);
      assert.equal(found?.parentId, isNested ? outerId : null);
    }),
    { numRuns: 2000 },
  );
});

test('a hostile path costs no more than its length', () => {
  // A quadratic rule would need some 10^11 steps here, and the runner would give up.
  const size = 300_000;
  for (const piece of [
    '/',
    '-',
    ':',
    '\\x',
    '/lxc/',
    'a/',
    '/docker/',
    'kubepods-pod',
    '/sys/fs/cgroup/',
    '/unified',
  ]) {
    const path = `/x${piece.repeat(size / piece.length)}`;
    containerOfPath(path);
    containerOfPath(`${path}.scope`);
    containerOfPath(`${path}.slice`);
    parseProcCgroup(`1:a:${path}\n0::${path}`);
  }
});

test('any bytes become text that UTF-8 can carry, and UTF-8 stays as it is', () => {
  const printable = fc.string({ unit: 'grapheme', maxLength: 200 }).filter((text) => !/\p{Cc}/u.test(text));
  fc.assert(
    fc.property(latin1, (bytes) => {
      const text = textOfBytes(bytes);
      assert.equal(Buffer.from(text, 'utf8').toString('utf8'), text);
      assert.ok(!text.includes('\u0000') && text.isWellFormed());
    }),
  );
  fc.assert(
    fc.property(printable, (text) => {
      assert.equal(textOfBytes(Buffer.from(text, 'utf8').toString('latin1')), text);
    }),
  );
});

test('a bare runtime without state under any of its names makes no group a container, on any bytes', () => {
  fc.assert(
    fc.property(fc.oneof(latin1, pieces, hostUnit), (path) => {
      assert.equal(
        bareContainerOf(path, () => false),
        null,
      );
    }),
    { numRuns: 2000 },
  );
});

test('a host unit is no bare container even where every state folder exists, and no look leaves those folders', () => {
  fc.assert(
    fc.property(hostUnit, (path) => {
      const found = bareContainerOf(path, () => true);
      // A slice's or user's own name is never a container's id: systemd's suffixes are told apart.
      if (found === null) return;
      assert.doesNotMatch(found.containerId, /\.(?:service|scope|slice|mount|socket)$/);
    }),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(fc.oneof(latin1, pieces), (path) => {
      let looks = 0;
      bareContainerOf(path, (place) => {
        looks += 1;
        assert.match(place, /^\/run\/(?:runc|crun|runsc)\/[^/\0]+$/);
        assert.doesNotMatch(place, /\/\.{1,2}$/);
        return false;
      });
      assert.ok(looks <= 24, `${looks} looks for one group`);
    }),
    { numRuns: 3000 },
  );
});

test('a bare container is the innermost name that has state, and groups below it are its own', () => {
  const name = fc.stringMatching(/^[A-Za-z0-9_+-]{1,20}$/);
  const runtime = fc.constantFrom('runc', 'crun');
  fc.assert(
    fc.property(
      fc.array(name, { maxLength: 3 }),
      name,
      name,
      fc.boolean(),
      runtime,
      (above, id, inner, isInside, by) => {
        fc.pre(![...above, inner].includes(id));
        const group = `/${[...above, id].join('/')}`;
        const found = bareContainerOf(
          `${group}${isInside ? `/${inner}` : ''}`,
          (place) => place === `/run/${by}/${id}`,
        );
        assert.deepEqual(
          [found?.containerId, found?.runtime, found?.groupPath, found?.isOwnGroup, found?.isGuess],
          [id, by, group, !isInside, true],
        );
      },
    ),
    { numRuns: 1000 },
  );
});
