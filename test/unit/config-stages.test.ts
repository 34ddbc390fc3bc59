// What the stages say of a configuration before they start.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { START_CHECKS } from '../../src/cli/stage-checks.ts';
import { createCertificates, type Certificates } from '../helpers/certificates.ts';
import { runToExit } from '../helpers/collector-process.ts';
import { load, problemsOf, withFile, type Sources } from '../helpers/config.ts';

let certificates: Certificates;
before(() => {
  certificates = createCertificates();
});
after(() => certificates.remove());

function told(text: string, sources: Sources = {}): readonly string[] {
  return problemsOf(text, { ...sources, checks: START_CHECKS });
}

test('every bad glob is told with its line', () => {
  const text = 'files:\n  exclude:\n    - /ok/**\n    - "/a[b"\n  include: ["{a,b", "\\\\"]\n';
  assert.deepEqual(told(text), [
    'f.yaml:4: files.exclude[1]: "/a[b" can\'t be used: glob "/a[b" has a [ without ]',
    'f.yaml:5: files.include[0]: "{a,b" can\'t be used: glob "{a,b" has a { without }',
    'f.yaml:5: files.include[1]: "\\\\" can\'t be used: glob "\\\\" ends in a backslash',
  ]);
});

test('globs that are too much together are told', () => {
  const globs = Array.from({ length: 20 }, (_value, index) => `"**/*${index}*x*y*z*${index}"`);
  assert.match(
    told(`files: {exclude: [${globs.join(', ')}]}\n`)[0],
    /^f\.yaml:1: files\.exclude: .*states together/,
  );
});

test('a glob of a rule that is too long is told with its line', () => {
  const text = `containers:\n  deny:\n    - {id: x}\n    - {cgroup: "${'y'.repeat(1025)}"}\n`;
  assert.match(told(text)[0], /^f\.yaml:4: containers\.deny\[1\]: .* longer than 1024/);
});

test('an endpoint that cannot be sent to is told, also one that is overridden', () => {
  const sets = ['export.endpoint=http://ok:1'];
  const text = 'export:\n  endpoint: ftp://c\n';
  assert.match(
    told(text, { sets })[0],
    /^f\.yaml:2: export\.endpoint: "ftp:\/\/c" can't be used: .*has scheme "ftp:"/,
  );
  for (const endpoint of ['http://', 'http://c:99999', 'unix:///run/x', '4317', 'a b']) {
    assert.match(
      told('', { sets: [`export.endpoint=${endpoint}`] })[0] ?? '',
      /^--set: export\.endpoint: /,
      endpoint,
    );
  }
});

test('an endpoint with a path is told for grpc only', () => {
  const text = 'export:\n  endpoint: http://c:4317/v1/traces\n';
  assert.match(told(text)[0], /^f\.yaml:2: export\.endpoint: .* has a path, which grpc has no place for/);
  assert.deepEqual(told(text, { sets: ['export.protocol=http/protobuf'] }), []);
});

test('the user and password of an endpoint are in no message', () => {
  for (const endpoint of ['http://me:hunter2@c:99999', 'ftp://me:hunter2@c', 'http://me:hunter2@c/path']) {
    const problems = told('', { sets: [`export.endpoint=${endpoint}`] });
    assert.equal(problems.length, 1, endpoint);
    assert.doesNotMatch(problems[0], /hunter2/);
  }
});

test('headers that cannot be sent are told by name, without their values', () => {
  const headers = [
    'authorization: "hunter2\\n"',
    '"b ad": hunter2',
    'Content-Type: hunter2',
    'grpc-timeout: hunter2',
  ];
  const problems = told(`export:\n  headers:\n    ${headers.join('\n    ')}\n    x-tenant: fine\n`);
  assert.deepEqual(
    problems.map((problem) => problem.split(': the value')[0]),
    [
      'f.yaml:3: export.headers.authorization',
      'f.yaml:4: export.headers."b ad"',
      'f.yaml:5: export.headers.Content-Type',
      'f.yaml:6: export.headers.grpc-timeout',
    ],
  );
  assert.doesNotMatch(problems.join('\n'), /hunter2/);
});

test('good certificates are taken', () => {
  const { ca, client } = certificates;
  const text = `export.tls: {ca: ${ca}, cert: ${client.cert}, key: ${client.key}}\n`;
  assert.equal(load(text, { checks: START_CHECKS }).config.export.tls.ca, ca);
});

test('a TLS file that cannot be read, or holds something else, is told with its path', () => {
  const { ca, client, server } = certificates;
  const told1 = (tls: string): readonly string[] => told(`export.tls:\n  ${tls.replaceAll(', ', '\n  ')}\n`);
  assert.match(
    told1('ca: /nonexistent/ca.pem')[0],
    /^f\.yaml:2: export\.tls\.ca: reading \/nonexistent\/ca\.pem: ENOENT/,
  );
  assert.match(told1(`ca: ${certificates.folder}`)[0], /export\.tls\.ca: reading .*EISDIR/);
  assert.match(told1(`ca: ${client.key}`)[0], /^f\.yaml:2: .* holds no certificate in PEM/);
  assert.match(told1(`cert: ${client.cert}, key: ${ca}`)[0], /^f\.yaml:3: .* holds no private key/);
  assert.match(
    told1(`cert: ${client.cert}, key: ${server.key}`)[0],
    /^f\.yaml:3: export\.tls\.key: the key of /,
  );
});

test('a certificate without its key is told, and a key without its certificate', () => {
  const { client } = certificates;
  assert.deepEqual(told(`export.tls:\n  cert: ${client.cert}\n`), [
    'f.yaml:2: export.tls.cert: needs export.tls.key too',
  ]);
  assert.deepEqual(told(`export.tls:\n  key: ${client.key}\n`), [
    'f.yaml:2: export.tls.key: needs export.tls.cert too',
  ]);
});

test('a file of headers that cannot be read or sent is told, without what is in it', () => {
  const file = join(certificates.folder, 'headers');
  const sets = [`export.headers_file=${file}`];
  assert.match(told('', { sets })[0], /^--set: export\.headers_file: reading .*ENOENT/);
  writeFileSync(file, 'authorization: Bearer a\nhunter2\n');
  const [problem] = told('', { sets });
  assert.match(problem, /line 2 isn't "Name: value"/);
  assert.doesNotMatch(problem, /hunter2/);
  writeFileSync(file, 'authorization: Bearer a\n');
  assert.deepEqual(told('', { sets }), []);
});

for (const command of ['check', 'run']) {
  test(`${command} exits with 78 for what a stage refuses, with file and line`, async () => {
    const text = 'files:\n  exclude: ["[a"]\nexport:\n  endpoint: ftp://c\n  tls: {ca: /nonexistent}\n';
    await withFile(text, async (file) => {
      const { exitCode, stdout, stderr } = await runToExit([command, '--config', file], {
        env: { FDSPAN_DEV: '1' },
      });
      assert.equal(exitCode, 78, stderr);
      assert.equal(stdout, '');
      for (const key of [':2: files.exclude[0]', ':4: export.endpoint', ':5: export.tls.ca']) {
        assert.ok(stderr.includes(`${file}${key}`), stderr);
      }
    });
  });
}
