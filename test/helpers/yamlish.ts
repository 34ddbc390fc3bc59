// What YAML and the keys of the configuration are made of, in any order: gets further than bytes alone.
import fc from 'fast-check';
import { KEYS } from '../../src/config/schema.ts';

const sections = [...new Set(Object.keys(KEYS).map((key) => key.split('.')[0]))];
const piece = fc.oneof(
  fc.constantFrom(...Object.keys(KEYS), ...sections),
  fc.constantFrom(
    ...': |\n|\n  |\n    |- |, |[|]|{|}|"|\'|#|&a |*a |<<: |!t |!!set |? |\t|---\n|...\n|%YAML 1.1\n'.split(
      '|',
    ),
  ),
  fc.constantFrom(
    '|\n ',
    '>-\n ',
    '\\',
    '**',
    '~',
    'null',
    '1e3',
    '0x',
    '.nan',
    '__proto__',
    '5s',
    '\ufeff',
    '\r',
  ),
  fc.string({ maxLength: 8, unit: 'binary' }),
);
export const yamlish = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''));
