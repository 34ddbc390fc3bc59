// How values are written, whichever source they come from.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { load, problemsOf } from '../helpers/config.ts';

/** The same text in the file, in the key's variable and after --set. */
function everywhere<T>(key: string, text: string, read: (sources: Parameters<typeof load>) => T): T[] {
  const variable = `FDSPAN_${key.toUpperCase().replaceAll('.', '_')}`;
  return [
    read([`${key}: ${text}\n`]),
    read(['', { env: { [variable]: text } }]),
    read(['', { sets: [`${key}=${text}`] }]),
  ];
}

function assertUsed(key: string, text: string, name: string, expected: unknown): void {
  for (const used of everywhere(key, text, (sources) => {
    let at: unknown = load(...sources).config;
    for (const part of name.split('.')) at = (at as Record<string, unknown>)[part];
    return at;
  })) {
    assert.deepEqual(used, expected, `${key}: ${text}`);
  }
}

function assertRefused(key: string, text: string, expected: RegExp): void {
  for (const problems of everywhere(key, text, (sources) => problemsOf(...sources))) {
    assert.equal(problems.length, 1, `${key}: ${text}: ${problems.join('\n')}`);
    assert.match(problems[0], expected, `${key}: ${text}`);
  }
}

test('durations have a unit, and only those that may be none are 0', () => {
  assertUsed('export.timeout', '250ms', 'export.timeoutMs', 250);
  assertUsed('export.timeout', '1.5s', 'export.timeoutMs', 1500);
  assertUsed('limits.stop_deadline', '2m', 'limits.stopDeadlineMs', 120_000);
  assertUsed('containers.keep_after_exit', '1h', 'containers.keepAfterExitMs', 3_600_000);
  assertUsed('spans.min_duration', '0', 'spans.minDurationMs', 0);
  assertUsed('limits.stop_deadline', '0s', 'limits.stopDeadlineMs', 0);
  assertRefused('export.timeout', '0', /from 1ms to 1h$/);
  assertRefused('export.timeout', '0s', /from 1ms to 1h$/);
  assertRefused('export.timeout', '600h', /from 1ms to 1h$/);
  assertRefused('export.timeout', '10', /a duration such as/);
  assertRefused('export.timeout', '-1s', /a duration such as/);
  assertRefused('spans.min_duration', '25h', /from 0ms to 24h$/);
});

test('the port of metrics is on loopback, on the address that is named, or on every one', () => {
  const key = 'telemetry.metrics.prometheus';
  assertUsed(key, '9464', key, { host: '127.0.0.1', port: 9464 });
  assertUsed(key, '10.0.0.7:9464', key, { host: '10.0.0.7', port: 9464 });
  const every = { host: null, port: 9464 };
  assert.deepEqual(load(`${key}: "*:9464"\n`).config.telemetry.metrics.prometheus, every);
  assert.deepEqual(load('', { sets: [`${key}=*:9464`] }).config.telemetry.metrics.prometheus, every);
  const env = { FDSPAN_TELEMETRY_METRICS_PROMETHEUS: '*:9464' };
  assert.deepEqual(load('', { env }).config.telemetry.metrics.prometheus, every);
  assertRefused(key, 'a:b:9464', /must be a port, or an address and a port/);
});

test('users are numbers, ranges, or names of this host', () => {
  const ids = [
    { first: 0, last: 0 },
    { first: 1000, last: 1999 },
    { first: 4294967294, last: 4294967294 },
  ];
  assertUsed('processes.users', '[0, 1000-1999, 4294967294]', 'processes.users', ids);
  const nobody = Number(execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' }));
  assertUsed('processes.users', '[nobody]', 'processes.users', [{ first: nobody, last: nobody }]);
  assertUsed('processes.users', '[]', 'processes.users', []);
  assertRefused('processes.users', '[4294967295]', /users\[0\]: .* must be a number of at most 4294967294$/);
  assertRefused('processes.users', '[0, 9-1]', /users\[1\]: "9-1" must be a range/);
  assertRefused('processes.users', '["a b"]', /users\[0\]: "a b" must be the name of a user, a number/);
  assertRefused('processes.users', '[no-such-user]', /"no-such-user" isn't a user of \/etc\/passwd/);
  const many = Array.from({ length: 33 }, (_, at) => at);
  assertRefused('processes.users', JSON.stringify(many), /a list of at most 32 users/);
});

test('accesses are those of fdspan.access', () => {
  assertUsed('files.access', '[read, write, read_write, path, none]', 'files.access', [
    'read',
    'write',
    'read_write',
    'path',
    'none',
  ]);
  assertRefused('files.access', '[append]', /access\[0\]: "append" must be one of read, write/);
});

test('numbers are written as in YAML', () => {
  for (const text of ['1000', '1e3', '1.0e+3', '0x3e8', '0o1750', '+1000']) {
    assertUsed('limits.containers', text, 'limits.containers', 1000);
  }
  for (const text of ['1.5', 'many', '1_000', '0x', '.inf', '.nan', '1e999', '-1', '0', '65537']) {
    assertRefused('limits.containers', text, /must be (a whole number )?from 1 to 65536$/);
  }
});

test('sizes have a binary unit, and may be a fraction of it that is whole bytes', () => {
  assertUsed('export.queue.bytes_max', '1.5MiB', 'export.queue.bytesMax', 1_572_864);
  assertUsed('export.queue.bytes_max', '2GiB', 'export.queue.bytesMax', 2_147_483_648);
  assertUsed('export.queue.bytes_max', '4096KiB', 'export.queue.bytesMax', 4_194_304);
  assertUsed('export.queue.bytes_max', '2097152', 'export.queue.bytesMax', 2_097_152);
  assertUsed('export.queue.bytes_max', '0x200000', 'export.queue.bytesMax', 2_097_152);
  assertRefused('export.queue.bytes_max', '1MB', /a size in whole bytes, such as/);
  assertRefused('export.queue.bytes_max', '1048576.5', /a size in whole bytes, such as/);
  assertRefused('export.queue.bytes_max', '1KiB', /from 1MiB to 1024GiB$/);
  assertRefused('limits.ring', '1.5MiB', /a power of two/);
});

test('lists and maps are YAML in every source', () => {
  assertUsed('files.types', '[regular, fifo]', 'files.types', ['regular', 'fifo']);
  assertUsed('files.include', '[2024, "/a,b/**"]', 'files.include', ['2024', '/a,b/**']);
  assertUsed('containers.deny', '[{id: 3f2a*, runtime: docker}]', 'containers.deny', [
    { id: '3f2a*', runtime: 'docker' },
  ]);
  assertUsed('spans.failed_opens', '[]', 'spans.failedOpens', []);
  assertRefused('files.types', 'regular', /must be a list of file types, such as \[a, b\]/);
  assertRefused('files.types', '{a: b}', /must be a list of file types/);
  assertRefused('spans.failed_opens', '[EACESS]', /failed_opens\[0\]: "EACESS" must be the name of an errno/);
});

test('a resource has texts, and a number in it stays as it was written', () => {
  assertUsed('resource', '{service.version: 1.10, k: yes, n: 5, b: true}', 'resource', {
    'service.version': '1.10',
    k: 'yes',
    n: '5',
    b: 'true',
  });
  assertRefused('resource', '{k8s.cluster.name: [a]}', /resource\.k8s\.cluster\.name: \["a"\] must be text/);
  assertRefused('resource', '{k: {a: b}}', /resource\.k: .* must be text/);
  assertRefused('resource', '{k: }', /resource\.k: an empty value must be text/);
  assertRefused('resource', '{"": a}', /resource\."": "a" needs a key that is not empty/);
  assertRefused('resource', '[a]', /must be a map such as/);
  assertRefused('resource', `{k: ${'x'.repeat(8192)}}`, /must be at most 8192 bytes as JSON/);
});

test('words are told with those that could be meant', () => {
  assertRefused('export.compression', 'snappy', /must be one of auto, none, gzip, zstd$/);
  assertRefused('export.protocol', 'http/json', /must be one of grpc, http\/protobuf$/);
  assertRefused('scope.host', 'yes', /must be true or false$/);
  assertRefused('attach', 'fentry', /isn't built yet: take auto or tracepoint$/);
});

test('a path of the control socket that no socket can have is refused', () => {
  assertUsed('control.socket', `/${'s'.repeat(106)}`, 'control.socket', `/${'s'.repeat(106)}`);
  assertRefused('control.socket', `/${'s'.repeat(107)}`, /a path of at most 107 bytes$/);
});

test('a list has a limit, and a long value is told in short', () => {
  const list = (count: number): string => `[${Array.from({ length: count }, () => 'x').join(',')}]`;
  assert.deepEqual(problemsOf(`files: {include: ${list(1000)}}\n`), []);
  const [problem] = problemsOf(`files: {include: ${list(1001)}}\n`);
  assert.match(problem, /must be a list of at most 1000 globs$/);
  assert.ok(problem.length < 200, problem);
});
