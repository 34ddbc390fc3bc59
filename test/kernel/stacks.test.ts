// How deep the programs' stacks are. This kernel may give each program a stack of its own (from 6.13 on), and then takes
// what an older one refuses.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { objectFile } from '../../src/bpf/object-file.ts';
import { deepestChain, readFunctions, tooDeep } from '../helpers/bpf-stacks.ts';

for (const reads of ['cast', 'probe'] as const)
  test(`reads by ${reads}: no chain of calls takes more stack than a kernel has for all of it`, () => {
    assert.deepEqual(tooDeep(objectFile(reads)), []);
    // What the reader of the file must find: a way over global functions, and one over a callback.
    const functions = readFunctions(objectFile(reads));
    const { names } = deepestChain(functions.get('sys_exit')!);
    assert.ok(names.length >= 4, names.join(' → '));
    assert.ok(functions.get('measure_path')!.calls.some(({ name }) => name === 'measure_step'));
  });
