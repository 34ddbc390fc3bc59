// Expected names and tags follow the grammar of image references in the OCI distribution project.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { imageMetadata, parseImageReference } from '../../src/containers/runtimes/image-name.ts';

const HEX = '0123456789abcdef'.repeat(4);

const references: readonly (readonly [reference: string, name: string, tags: readonly string[]])[] = [
  ['nginx', 'nginx', []],
  ['nginx:1.27', 'nginx', ['1.27']],
  ['docker.io/library/nginx:latest', 'docker.io/library/nginx', ['latest']],
  ['reg:5000/a/b', 'reg:5000/a/b', []],
  ['reg:5000/a/b:tag', 'reg:5000/a/b', ['tag']],
  [`reg:5000/a/b:tag@sha256:${HEX}`, 'reg:5000/a/b', ['tag']],
  [`reg:5000/a/b@sha256:${HEX}`, 'reg:5000/a/b', []],
  [`a@sha512:${HEX}${HEX}`, 'a', []],
  ['[2001:db8::1]:5000/a', '[2001:db8::1]:5000/a', []],
  ['[2001:db8::1]:5000/a:_x.y-z', '[2001:db8::1]:5000/a', ['_x.y-z']],
  [`sha256:${HEX}`, '', []],
  [HEX, '', []],
  // 63 digits are a name like any other.
  [HEX.slice(1), HEX.slice(1), []],
  ['', '', []],
  // No references: kept whole, so that nothing is made up.
  ['a:', 'a:', []],
  ['a:not a tag', 'a:not a tag', []],
  [`a:${'t'.repeat(129)}`, `a:${'t'.repeat(129)}`, []],
  ['a:b:c', 'a:b', ['c']],
];

for (const [reference, name, tags] of references) {
  test(`the reference '${reference.slice(0, 40)}' has the name '${name.slice(0, 40)}' and tags [${tags.join()}]`, () => {
    assert.deepEqual(parseImageReference(reference), { name, tags });
  });
}

test('an image that can not be named leaves its attributes out', () => {
  for (const value of [undefined, null, 7, {}, '', HEX, 'a'.repeat(1025)]) {
    assert.deepEqual(imageMetadata(value), {}, JSON.stringify(value)?.slice(0, 20));
  }
  assert.deepEqual(imageMetadata('a/b'), { imageName: 'a/b' });
  assert.deepEqual(imageMetadata('a/b:1'), { imageName: 'a/b', imageTags: ['1'] });
  // Half a surrogate pair can't be sent as UTF-8.
  assert.deepEqual(imageMetadata('a\ud800'), { imageName: 'a\ufffd' });
});

test('hostile mebibytes are split in linear time', () => {
  // Quadratic time would be hours.
  for (const piece of [':/', 'a', 'a.', 'a:', '@']) {
    const text = piece.repeat((1 << 20) / piece.length);
    assert.ok(parseImageReference(text).name.length <= text.length);
  }
});
