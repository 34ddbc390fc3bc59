import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileGlob } from '../../src/containers/glob.ts';
import { compileRules } from '../../src/containers/rules.ts';

const cases: [pattern: string, form: 'name' | 'path', text: string, isMatch: boolean][] = [
  ['web*', 'name', 'web/1', true],
  ['web?', 'name', 'web', false],
  ['', 'name', '', true],
  ['', 'name', 'a', false],
  ['a\\*', 'name', 'a*', true],
  ['a\\*', 'name', 'ab', false],
  ['*a*b', 'name', 'xaxxb', true],
  ['/docker/*', 'path', '/docker/a', true],
  ['/docker/*', 'path', '/docker/a/b', false],
  ['/docker/**', 'path', '/docker/a/b', true],
  ['/a/**/b', 'path', '/a/b', true],
  ['/a/**/b', 'path', '/a/x/y/b', true],
  ['/a/**/b', 'path', '/a/xb', false],
  ['**/b', 'path', 'b', true],
  ['**/b', 'path', 'xb', false],
  ['/a?b', 'path', '/a/b', false],
];

for (const [pattern, form, text, isMatch] of cases) {
  test(`${form} glob ${JSON.stringify(pattern)} ${isMatch ? 'matches' : "doesn't match"} ${text}`, () => {
    assert.equal(compileGlob(pattern, form)(text), isMatch);
  });
}

test('a glob full of stars ends on a text that never matches', () => {
  assert.equal(compileGlob('*a*a*a*a*a*a*a*a*x', 'name')('a'.repeat(20_000)), false);
  assert.throws(() => compileGlob('a'.repeat(1025), 'name'), RangeError);
});

test('deny beats allow, an empty list allows all, and unknown fields match nothing', () => {
  const facts = { id: 'abc', runtime: 'docker', cgroup: '/docker/abc' };
  assert.deepEqual(compileRules([], []).judge(facts), { isAllowed: true, rule: null });
  const both = compileRules([{ runtime: 'docker' }], [{ id: 'a*' }]);
  assert.deepEqual(both.judge(facts), { isAllowed: false, rule: 'deny[0]' });
  const every = compileRules([{ runtime: 'docker', name: '*' }, { cgroup: '/docker/*' }], []);
  assert.deepEqual(every.judge(facts), { isAllowed: true, rule: 'allow[1]' });
  assert.deepEqual(compileRules([{ image: '*' }], [{}]).judge(facts), { isAllowed: false, rule: null });
  const label = compileRules([{ label: 'app=w*' }], []);
  assert.equal(label.judge({ labels: ['x=y', 'app=web'] }).isAllowed, true);
});
