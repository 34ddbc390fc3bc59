// Whatever JSON an engine answers, reading it never throws and gives only texts that can be sent, within their bounds.
import fc from 'fast-check';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BoundedLines } from '../../src/containers/runtimes/engine/bounded-lines.ts';
import { DOCKER } from '../../src/containers/runtimes/engine/docker.ts';
import {
  dockerOfVersion,
  eventsPathOf,
  podmanOfPing,
} from '../../src/containers/runtimes/engine/engine-version.ts';
import { PODMAN } from '../../src/containers/runtimes/engine/podman.ts';
import { assertName, assertRead, inspection, text, value } from '../helpers/engine-answers.ts';

for (const dialect of [DOCKER, PODMAN]) {
  test(`any answer of ${dialect.runtimeName} about a container is read without an error, within bounds`, () => {
    fc.assert(
      fc.property(inspection, (answer) => void assertRead(dialect, answer)),
      { numRuns: 2000 },
    );
  });
}

test('any answer about the version gives a path that names the API and nothing else, or no engine', () => {
  const version = fc.oneof(
    text,
    fc.constantFrom('1.41', '1.52', '5.0.0', '5.0.0-dev', '../..', '1.4 HTTP/1.1', '1.41\r\n', '1..2'),
  );
  const answer = fc.record(
    {
      Version: value,
      ApiVersion: fc.oneof(value, version),
      MinAPIVersion: fc.oneof(value, version),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(answer, version, (each, libpodVersion) => {
      for (const engine of [dockerOfVersion(each), podmanOfPing({ 'libpod-api-version': libpodVersion })]) {
        if (engine === null) continue;
        assertName(engine.runtimeVersion);
        assert.match(
          engine.dialect.inspectPath(engine.apiVersion, 'ID'),
          /^\/v[0-9]+(?:\.[0-9]+)+(?:\/libpod)?\/containers\/ID\/json$/,
        );
        assert.match(
          eventsPathOf(engine, 1_700_000_000_500),
          /^\/v[0-9]+(?:\.[0-9]+)+(?:\/libpod)?\/events\?[\w%=&+.*-]+$/,
        );
      }
    }),
    { numRuns: 2000 },
  );
});

test('lines come out as they went in, however the bytes are cut; longer ones are counted and left out', () => {
  const bytesMax = 20;
  const line = fc
    .array(fc.integer({ min: 0x0b, max: 0x7e }), { maxLength: 30 })
    .map((codes) => String.fromCharCode(...codes));
  fc.assert(
    fc.property(fc.array(line), fc.array(fc.integer({ min: 1, max: 40 })), (lines, cuts) => {
      const bytes = Buffer.from(lines.map((each) => `${each}\n`).join(''));
      const splitter = new BoundedLines(bytesMax);
      const got: string[] = [];
      let at = 0;
      for (const cut of [...cuts, bytes.length]) {
        got.push(...splitter.push(bytes.subarray(at, at + cut)));
        at += cut;
      }
      assert.deepEqual(
        got,
        lines.filter((each) => each.length <= bytesMax),
      );
      assert.equal(splitter.skipped, lines.filter((each) => each.length > bytesMax).length);
    }),
  );
});
