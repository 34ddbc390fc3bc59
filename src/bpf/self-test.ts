// Proves that the attached programs run: an open and a close of the calling thread, which they must see. It
// makes no span and moves no counter (bpf/self-test.bpf.h), and may be repeated while the collector runs.
import * as layout from '../model/record-layout.ts';
import type { BpfObject } from './bpf-object.ts';
import { closeHere, openHere } from './libc.ts';

/**
 * Reason: a program that is interrupted by itself on its CPU isn't run the second time, so one miss proves
 * nothing. Each attempt is five calls that wait for nothing, some 0.1 ms: the number is the deadline too.
 */
export const SELF_TEST_ATTEMPTS_MAX = 3;

/** Reason: every mount namespace has it, and looking it up needs no disk. */
const OWN_FILE = '/';

const HOOKS = [
  { bit: layout.MISSED_OPEN_ENTER, hook: 'sys_enter (of the open)' },
  { bit: layout.MISSED_OPEN_EXIT, hook: 'sys_exit (of the open)' },
  { bit: layout.MISSED_CLOSE_ENTER, hook: 'sys_enter (of the close)' },
];

/** Returns the hooks that saw nothing in any attempt; none when all is well. Throws when the file can't be opened. */
export function selfTest(object: BpfObject): readonly string[] {
  let missed = ~0;
  for (let attempt = 0; attempt < SELF_TEST_ATTEMPTS_MAX && missed !== 0; attempt++) missed &= tryOnce(object);
  return HOOKS.filter(({ bit }) => missed & bit).map(({ hook }) => hook);
}

function tryOnce(object: BpfObject): number {
  step(object, layout.SELF_TEST_OPENS);
  const fd = openHere(OWN_FILE);
  step(object, layout.SELF_TEST_CLOSES, fd);
  closeHere(fd);
  return step(object, layout.SELF_TEST_ENDS);
}

function step(object: BpfObject, which: number, fd = 0): number {
  const given = Buffer.alloc(layout.SELF_TEST_ARGUMENTS_BYTES);
  given.writeUInt32LE(which, layout.SELF_TEST_ARGUMENTS_STEP);
  given.writeUInt32LE(fd, layout.SELF_TEST_ARGUMENTS_FD);
  return object.run('self_test', given);
}
