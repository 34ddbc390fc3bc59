// The counters of the kernel stage: per-CPU sums, read by the main thread, and the programs' own misses.
import * as layout from '../model/record-layout.ts';
import { BpfError, type BpfObject } from './bpf-object.ts';
import { libbpf } from './libbpf.ts';
import { readProgramInfo } from './program-info.ts';

const PREFIX = 'COUNTER_';
/** Every counter of bpf/record.h, under its name in the documents. */
const COUNTERS = Object.entries(layout)
  .filter(([name]) => name.startsWith(PREFIX) && name !== 'COUNTER_COUNT')
  .map(([name, index]) => ({ name: name.slice(PREFIX.length).toLowerCase(), index }));

export class KernelCounters {
  readonly #object: BpfObject;
  readonly #programs: readonly string[];
  readonly #perCpu: BigUint64Array;

  constructor(object: BpfObject, programs: readonly string[]) {
    this.#object = object;
    this.#programs = programs;
    this.#perCpu = new BigUint64Array(libbpf().numPossibleCpus() as number);
  }

  /** Returns every counter by the name that the documents use. Between two keys the kernel goes on. */
  read(): Record<string, number> {
    const fd = this.#object.mapFd('counters');
    const key = Buffer.alloc(4);
    const values: Record<string, number> = {};
    const bytes = new Uint8Array(this.#perCpu.buffer);
    for (const { name, index } of COUNTERS) {
      key.writeUInt32LE(Number(index));
      const result = libbpf().mapLookup(fd, key, bytes) as number;
      if (result !== 0) throw new BpfError(`reading counter ${name}`, -result);
      values[name] = Number(this.#perCpu.reduce((sum, value) => sum + value, 0n));
    }
    values['recursion_misses'] = this.#recursionMisses();
    return values;
  }

  #recursionMisses(): number {
    return this.#programs.reduce(
      (sum, program) => sum + (readProgramInfo(this.#object.programFd(program))?.recursionMisses ?? 0),
      0,
    );
  }
}
