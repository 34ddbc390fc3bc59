// One BPF object: opened, set up, loaded and attached through libbpf. All on the main thread.
import { addressOf, libbpf, lastErrno, type Address } from './libbpf.ts';

const OPEN_OPTIONS_BYTES = 80;
const OPEN_OPTIONS_BTF_PATH = 48;
const TEST_RUN_OPTIONS_BYTES = 80;
const TEST_RUN_CONTEXT = 32;
const TEST_RUN_CONTEXT_BYTES = 48;
const TEST_RUN_RESULT = 56;
/** struct bpf_iter_attach_opts, and as much of union bpf_iter_link_info as names a map. */
const ITER_OPTIONS_BYTES = 24;
const ITER_OPTIONS_LINK_INFO = 8;
const ITER_OPTIONS_LINK_INFO_BYTES = 16;
const LINK_INFO_BYTES = 8;
const EPERM = 1;
const EACCES = 13;
/** Reason: the end of the verifier's words is what tells; more is of no use in a message. */
const VERIFIER_LOG_BYTES = 64 * 1024;

/** Why the kernel didn't take a program or map: `isPermission` tells a missing right from a missing feature. */
export class BpfError extends Error {
  readonly code = 'BPF_REFUSED';
  readonly errno: number;

  constructor(what: string, errno: number, detail = '') {
    super(`${what}: errno ${errno}${detail === '' ? '' : `: ${detail}`}`);
    this.errno = errno;
  }

  get isPermission(): boolean {
    return this.errno === EPERM || this.errno === EACCES;
  }
}

export class BpfObject {
  readonly #object: Address;
  readonly #links: Address[] = [];
  readonly #logs = new Map<string, Buffer>();

  /** Opens the object file; `btfPath` stands in for the kernel's own BTF. Throws {@link BpfError}. */
  constructor(path: string, btfPath: string | null) {
    const options = Buffer.alloc(OPEN_OPTIONS_BYTES);
    const keptPath = btfPath === null ? null : Buffer.from(`${btfPath}\0`);
    options.writeBigUInt64LE(BigInt(OPEN_OPTIONS_BYTES), 0);
    if (keptPath !== null) options.writeBigUInt64LE(addressOf(keptPath), OPEN_OPTIONS_BTF_PATH);
    const object = libbpf().objectOpenFile(path, options) as Address | null;
    if (!object) throw new BpfError(`opening ${path}`, lastErrno());
    this.#object = object;
  }

  setMaxEntries(map: string, entries: number): void {
    this.#check(libbpf().mapSetMaxEntries(this.#map(map), entries), `sizing map ${map} to ${entries}`);
  }

  setInitialValue(map: string, value: Uint8Array | Uint32Array): void {
    this.#check(libbpf().mapSetInitialValue(this.#map(map), value, value.byteLength), `setting map ${map}`);
  }

  setAutoload(program: string, isLoaded: boolean): void {
    this.#check(libbpf().programSetAutoload(this.#program(program), isLoaded), `choosing ${program}`);
  }

  /** Loads maps and programs. Throws {@link BpfError} with the end of the verifier's log. */
  load(programs: readonly string[]): void {
    this.#keepLogs(programs);
    this.#loaded(libbpf().objectLoad(this.#object) as number);
  }

  /** As {@link load}, in a thread of the pool: the verifier takes 0.3 s. Nothing else may be asked of the object meanwhile. */
  async loadAside(programs: readonly string[]): Promise<void> {
    this.#keepLogs(programs);
    const result = await new Promise<number>((resolve, reject) => {
      libbpf().objectLoad.async(this.#object, (error: Error | null, value: number) => {
        if (error === null) resolve(value);
        else reject(error);
      });
    });
    this.#loaded(result);
  }

  /** Attaches a program to the hook that its section names; detached by {@link detach}. */
  attach(program: string): void {
    const link = libbpf().programAttach(this.#program(program)) as Address | null;
    if (!link) throw new BpfError(`attaching ${program}`, lastErrno());
    this.#links.push(link);
  }

  /** Detaches everything: no program runs any more when it returns. */
  detach(): void {
    for (const link of this.#links.splice(0)) libbpf().linkDestroy(link);
  }

  /**
   * Opens an iterator program; reading the descriptor to its end runs it over everything, or over the elements of
   * `map`.
   */
  openIterator(program: string, map?: string): { fd: number; close: () => void } {
    const info = Buffer.alloc(LINK_INFO_BYTES);
    if (map !== undefined) info.writeUInt32LE(this.mapFd(map));
    const options = Buffer.alloc(ITER_OPTIONS_BYTES);
    options.writeBigUInt64LE(BigInt(ITER_OPTIONS_BYTES), 0);
    options.writeBigUInt64LE(addressOf(info), ITER_OPTIONS_LINK_INFO);
    options.writeUInt32LE(LINK_INFO_BYTES, ITER_OPTIONS_LINK_INFO_BYTES);
    const given = map === undefined ? null : options;
    const link = libbpf().programAttachIter(this.#program(program), given) as Address | null;
    if (!link) throw new BpfError(`attaching the iterator ${program}`, lastErrno());
    const fd = libbpf().iterCreate(libbpf().linkFd(link)) as number;
    if (fd < 0) {
      libbpf().linkDestroy(link);
      throw new BpfError(`opening the iterator ${program}`, -fd);
    }
    return { fd, close: () => libbpf().linkDestroy(link) };
  }

  mapFd(map: string): number {
    return libbpf().mapFd(this.#map(map)) as number;
  }

  /** Writes one entry of an array map. */
  updateArray(map: string, index: number, value: Uint8Array): void {
    const key = Buffer.alloc(4);
    key.writeUInt32LE(index);
    this.#check(libbpf().mapUpdate(this.mapFd(map), key, value, 0), `writing map ${map}`);
  }

  programFd(program: string): number {
    return libbpf().programFd(this.#program(program)) as number;
  }

  /** Runs a program of section `syscall` with its arguments; returns what it returned. */
  run(program: string, programArguments: Uint8Array): number {
    const options = Buffer.alloc(TEST_RUN_OPTIONS_BYTES);
    options.writeBigUInt64LE(BigInt(TEST_RUN_OPTIONS_BYTES), 0);
    options.writeBigUInt64LE(addressOf(programArguments), TEST_RUN_CONTEXT);
    options.writeUInt32LE(programArguments.length, TEST_RUN_CONTEXT_BYTES);
    const result = libbpf().testRun(this.programFd(program), options) as number;
    if (result !== 0) throw new BpfError(`running ${program}`, -result);
    return options.readUInt32LE(TEST_RUN_RESULT);
  }

  close(): void {
    this.detach();
    libbpf().objectClose(this.#object);
  }

  #keepLogs(programs: readonly string[]): void {
    for (const program of programs) {
      const log = Buffer.alloc(VERIFIER_LOG_BYTES);
      this.#logs.set(program, log);
      libbpf().programSetLogBuffer(this.#program(program), log, log.length);
    }
  }

  #loaded(result: number): void {
    if (result !== 0) throw new BpfError('loading the BPF programs', -result, this.#lastLogLine());
  }

  #map(name: string): Address {
    const map = libbpf().findMap(this.#object, name) as Address | null;
    if (!map) throw new BpfError(`finding map ${name}`, lastErrno());
    return map;
  }

  #program(name: string): Address {
    const program = libbpf().findProgram(this.#object, name) as Address | null;
    if (!program) throw new BpfError(`finding program ${name}`, lastErrno());
    return program;
  }

  #check(result: unknown, what: string): void {
    if (result !== 0) throw new BpfError(what, -(result as number));
  }

  /** Only the program that failed leaves a log that doesn't end as a success does. */
  #lastLogLine(): string {
    for (const [program, log] of this.#logs) {
      const text = log.toString('latin1', 0, log.indexOf(0)).trim();
      const lines = text.split('\n').filter((line) => !line.startsWith('processed '));
      if (lines.length > 0 && lines[0] !== '') return `${program}: ${lines.slice(-3).join(' | ')}`;
    }
    return '';
  }
}
