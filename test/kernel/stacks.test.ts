// How deep the programs' stacks are. This kernel may give each program a stack of its own (from 6.13 on), and then takes
// what an older one refuses.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { objectFile } from '../../src/bpf/object-file.ts';
import { deepestChain, readFunctions } from '../helpers/bpf-stacks.ts';

/** MAX_BPF_STACK of the kernel. */
const STACK_BYTES_MAX = 512;
const PROGRAMS = [
  'sys_enter',
  'sys_exit',
  'sched_process_exit',
  'sched_process_exec',
  'sched_prepare_exec',
  'signal_deliver',
  'cgroup_mkdir',
  'adopt_files',
  'describe_tasks',
  'report_held',
  'list_open_files',
  'sweep_pending',
];

for (const reads of ['cast', 'probe'] as const)
  test(`reads by ${reads}: no chain of calls takes more stack than a kernel has for all of it`, () => {
    const functions = readFunctions(objectFile(reads));
    for (const program of PROGRAMS) {
      const { bytes, names } = deepestChain(functions.get(program)!);
      assert.ok(bytes <= STACK_BYTES_MAX, `${bytes} bytes: ${names.join(' → ')}`);
    }
    // What the reader of the file must find: a way over a global function, and one over a callback.
    const { names } = deepestChain(functions.get('sys_exit')!);
    assert.ok(names.length >= 4, names.join(' → '));
    assert.ok(functions.get('measure_path')!.calls.some(({ name }) => name === 'measure_step'));
  });
