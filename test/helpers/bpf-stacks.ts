// The functions of a BPF object, how much stack each takes and which it calls: what a kernel adds up that gives
// programs no stack of their own (before 6.13). Read from the ELF file itself.
import { readFileSync } from 'node:fs';

const INSTRUCTION_BYTES = 8;
const FRAME_POINTER = 10;
const CALL = 0x85;
const LOAD_WORD_64 = 0x18;
const ADD_CONSTANT = 0x07;
const PSEUDO_CALL = 1;
const RELOCATION_CALL = 10;
const SECTION_RELOCATIONS = 9;
const SECTION_SYMBOLS = 2;
const SYMBOL_FUNCTION = 2;
const CLASS_LDX = 1;
const CLASS_STX = 3;

interface Section {
  readonly name: string;
  readonly type: number;
  readonly data: Buffer;
  readonly link: number;
  readonly info: number;
}

interface Symbol {
  readonly name: string;
  readonly section: number;
  readonly value: number;
  readonly size: number;
  readonly isFunction: boolean;
}

export interface BpfFunction {
  readonly name: string;
  readonly stackBytes: number;
  readonly calls: readonly BpfFunction[];
}

/** Returns the functions of all sections, by name. */
export function readFunctions(file: string): ReadonlyMap<string, BpfFunction> {
  const sections = readSections(readFileSync(file));
  const symbols = readSymbols(sections);
  const found = new Map<Symbol, { name: string; stackBytes: number; calls: BpfFunction[] }>();
  const functions = symbols.filter(({ isFunction }) => isFunction);
  for (const symbol of functions) {
    const code = sections[symbol.section].data.subarray(symbol.value, symbol.value + symbol.size);
    found.set(symbol, { name: symbol.name, stackBytes: stackBytesOf(code), calls: [] });
  }
  const functionAt = (section: number, offset: number): Symbol | undefined =>
    functions.find((symbol) => symbol.section === section && symbol.value === offset);
  for (const caller of functions) {
    for (const called of targetsOf(caller, sections, symbols, functionAt))
      found.get(caller)!.calls.push(found.get(called)!);
  }
  return new Map([...found.values()].map((entry) => [entry.name, entry]));
}

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

/** Tells the programs of an object that a kernel refuses which gives none a stack of its own. */
export function tooDeep(file: string): string[] {
  const functions = readFunctions(file);
  return PROGRAMS.map((program) => deepestChain(functions.get(program)!))
    .filter(({ bytes }) => bytes > STACK_BYTES_MAX)
    .map(({ bytes, names }) => `${bytes} bytes: ${names.join(' → ')}`);
}

/** The deepest chain of calls from a function, as the verifier adds it up: each frame in steps of 32 bytes. */
export function deepestChain(
  from: BpfFunction,
  above: readonly BpfFunction[] = [],
): { bytes: number; names: string[] } {
  let deepest = { bytes: 0, names: [] as string[] };
  for (const called of new Set(from.calls)) {
    if (above.includes(called)) throw new Error(`${called.name} calls itself`);
    const chain = deepestChain(called, [...above, from]);
    if (chain.bytes > deepest.bytes) deepest = chain;
  }
  const own = Math.ceil(Math.max(from.stackBytes, 1) / 32) * 32;
  return { bytes: own + deepest.bytes, names: [`${from.name} (${from.stackBytes})`, ...deepest.names] };
}

function readSections(file: Buffer): Section[] {
  const at = Number(file.readBigUInt64LE(40));
  const [size, count, namesIndex] = [file.readUInt16LE(58), file.readUInt16LE(60), file.readUInt16LE(62)];
  const headers = Array.from({ length: count }, (_, index) => {
    const header = file.subarray(at + index * size, at + (index + 1) * size);
    const offset = Number(header.readBigUInt64LE(24));
    const type = header.readUInt32LE(4);
    const bytes = Number(header.readBigUInt64LE(32));
    return {
      nameAt: header.readUInt32LE(0),
      type,
      data: type === 8 ? Buffer.alloc(0) : file.subarray(offset, offset + bytes),
      link: header.readUInt32LE(40),
      info: header.readUInt32LE(44),
    };
  });
  return headers.map(({ nameAt, ...rest }) => ({ ...rest, name: textAt(headers[namesIndex].data, nameAt) }));
}

function readSymbols(sections: readonly Section[]): Symbol[] {
  const table = sections.find(({ type }) => type === SECTION_SYMBOLS)!;
  const names = sections[table.link].data;
  return Array.from({ length: table.data.length / 24 }, (_, index) => {
    const entry = table.data.subarray(index * 24, index * 24 + 24);
    return {
      name: textAt(names, entry.readUInt32LE(0)),
      section: entry.readUInt16LE(6),
      value: Number(entry.readBigUInt64LE(8)),
      size: Number(entry.readBigUInt64LE(16)),
      isFunction: (entry[4] & 15) === SYMBOL_FUNCTION,
    };
  });
}

function textAt(bytes: Buffer, at: number): string {
  return bytes.toString('latin1', at, bytes.indexOf(0, at));
}

/** The farthest place below the frame pointer that is loaded, stored, or whose address is taken. */
function stackBytesOf(code: Buffer): number {
  let deepest = 0;
  for (let at = 0; at < code.length; at += INSTRUCTION_BYTES) {
    const [operation, registers] = [code[at], code[at + 1]];
    const [destination, source] = [registers & 15, registers >> 4];
    const kind = operation & 7;
    const base = kind === CLASS_LDX ? source : kind === CLASS_STX || kind === 2 ? destination : -1;
    if (base === FRAME_POINTER) deepest = Math.max(deepest, -code.readInt16LE(at + 2));
    const constant = code.readInt32LE(at + 4);
    // `r = r10` is always followed by an addition to it; other additions of these sizes are rare, and none too many.
    if (
      operation === ADD_CONSTANT &&
      constant < 0 &&
      constant >= -512 &&
      isCopyOfFrame(code, at, destination)
    )
      deepest = Math.max(deepest, -constant);
  }
  return deepest;
}

function isCopyOfFrame(code: Buffer, at: number, register: number): boolean {
  for (let before = at - INSTRUCTION_BYTES; before >= 0; before -= INSTRUCTION_BYTES) {
    if ((code[before + 1] & 15) !== register) continue;
    if (code[before] === 0xbf) return code[before + 1] >> 4 === FRAME_POINTER;
    const kind = code[before] & 7;
    if (kind === 7 || kind === 4 || kind === CLASS_LDX || kind === 0) return false;
  }
  return false;
}

function targetsOf(
  caller: Symbol,
  sections: readonly Section[],
  symbols: readonly Symbol[],
  functionAt: (section: number, offset: number) => Symbol | undefined,
): Symbol[] {
  const { data } = sections[caller.section];
  const relocated = new Map<number, { symbol: Symbol; type: number }>();
  for (const { type, info, data: entries } of sections) {
    if (type !== SECTION_RELOCATIONS || info !== caller.section) continue;
    for (let at = 0; at < entries.length; at += 16) {
      const packed = entries.readBigUInt64LE(at + 8);
      relocated.set(Number(entries.readBigUInt64LE(at)), {
        symbol: symbols[Number(packed >> 32n)],
        type: Number(packed & 0xffff_ffffn),
      });
    }
  }
  const targets: Symbol[] = [];
  for (let at = caller.value; at < caller.value + caller.size; at += INSTRUCTION_BYTES) {
    const constant = data.readInt32LE(at + 4);
    const relocation = relocated.get(at);
    const isCall = data[at] === CALL && data[at + 1] >> 4 === PSEUDO_CALL;
    if (!isCall && data[at] !== LOAD_WORD_64) continue;
    let target: Symbol | undefined;
    if (relocation === undefined) {
      if (isCall) target = functionAt(caller.section, at + INSTRUCTION_BYTES * (constant + 1));
    } else if (relocation.symbol.isFunction) {
      target = relocation.symbol;
    } else if (relocation.type === RELOCATION_CALL) {
      target = functionAt(
        relocation.symbol.section,
        relocation.symbol.value + INSTRUCTION_BYTES * (constant + 1),
      );
    } else {
      // A callback of bpf_loop: the address of a function.
      target = functionAt(relocation.symbol.section, relocation.symbol.value + constant);
    }
    if (target !== undefined) targets.push(target);
  }
  return targets;
}
