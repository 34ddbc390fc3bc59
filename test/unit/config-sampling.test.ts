// What users may write of sampling: shares, rates, rules.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, problemsOf } from '../helpers/config.ts';

test('shares are numbers of 0 to 1 or percentages, and rates may end in /s', () => {
  const { config } = load(
    'sampling: {ratio: 1%, target: {host: 500/s, container: 20}, limit: {host: "1.5/s"}}\n',
  );
  assert.equal(config.sampling.ratio, 0.01);
  assert.deepEqual(config.sampling.target, { host: 500, container: 20 });
  assert.equal(config.sampling.limit.host, 1.5);
});

test('by default a host sends 2,000 spans a second, and keeps failed opens and held files', () => {
  const { sampling } = load('').config;
  assert.deepEqual(sampling.target, { container: 0, host: 2000 });
  assert.deepEqual([sampling.ratio, sampling.keep, sampling.slowAfterMs], [1, ['failed', 'held'], 1000]);
});

test('a rule names what it is for and its ratio; what it gets wrong is told field by field', () => {
  const { sampling } = load(
    'sampling: {rules: [{container: {name: "web-*"}, access: write, ratio: 10%}, {access: read, ratio: 0}]}\n',
  ).config;
  assert.deepEqual(sampling.rules, [
    { container: { name: 'web-*' }, access: 'write', ratio: 0.1 },
    { access: 'read', ratio: 0 },
  ]);
  assert.deepEqual(
    problemsOf(
      'sampling:\n  rules:\n    - {ratio: 0.5}\n    - {access: append, ratio: 2}\n    - {contaner: {name: a}, ratio: 1}\n' +
        '    - {container: {nam: a}, ratio: 1}\n',
    ),
    [
      'f.yaml:3: sampling.rules[0]: {"ratio":0.5} must be a rule such as {container: {name: "web-*"}, ratio: 0.1}: ' +
        'what it is for, and its ratio',
      'f.yaml:4: sampling.rules[1].access: "append" must be one of read, write, read_write',
      'f.yaml:4: sampling.rules[1].ratio: 2 must be a share from 0 to 1, such as 0.1 or 10%',
      'f.yaml:5: sampling.rules[2].contaner: {"name":"a"} is under a field that no rule has: the fields are ' +
        'container, path, access, process, ratio',
      'f.yaml:6: sampling.rules[3].container.nam: "a" is under a field that no rule has: the fields are name, image, ' +
        'label, namespace, pod, runtime, id, cgroup',
    ],
  );
});

test('32 rules are taken and one more is refused, as the kernel has one bit for each', () => {
  const rules = (count: number): string =>
    `sampling: {rules: [${Array.from({ length: count }, () => '{access: read, ratio: 1}').join(', ')}]}\n`;
  assert.deepEqual(problemsOf(rules(32)), []);
  assert.equal(problemsOf(rules(33)).length, 1);
  assert.match(problemsOf(rules(33))[0], /must be a list of at most 32 rules$/);
});

for (const [key, value] of [
  ['ratio', '1.01'],
  ['ratio', '-0.1'],
  ['ratio', '101%'],
  ['ratio', 'half'],
  ['target.host', '-1'],
  ['target.host', '2000/m'],
  ['limit.host', '1e12'],
  ['keep', '[slowest]'],
] as const)
  test(`sampling.${key}: ${value} is refused`, () => {
    assert.equal(problemsOf('', { sets: [`sampling.${key}=${value}`] }).length, 1);
  });
