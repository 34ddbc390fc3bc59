// Gives up, for every thread and for ever, what only the start needs: loading programs, and what nobody who reads files and
// sends spans needs. Capabilities belong to threads, and Node's own can't be reached; a seccomp filter reaches all.
import koffi from 'koffi';
import { addressOf } from './libbpf.ts';

const PR_SET_NO_NEW_PRIVS = 38;
const SECCOMP_SET_MODE_FILTER = 1;
/** All threads of the process. */
const FLAG_TSYNC = 1;
/** Without it kernels before 5.16 slow the process down against a side channel that the filter has nothing to do with. */
const FLAG_SPEC_ALLOW = 4;
const EPERM = 1;

/** struct sock_filter: code, jt, jf, k. */
const LOAD_WORD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_AT_LEAST = 0x35;
const RETURN = 0x06;
const RETURN_ALLOW = 0x7fff0000;
const RETURN_EPERM = 0x00050000 | EPERM;
const INSTRUCTION_BYTES = 8;
/** struct seccomp_data. */
const NUMBER_AT = 0;
const ARCHITECTURE_AT = 4;
const FIRST_ARGUMENT_AT = 16;
/** x32 calls have numbers of their own from here on; on other architectures there are none. */
const X32_BIT = 0x40000000;

/** Numbers of asm/unistd.h; AUDIT_ARCH_* of linux/audit.h. */
const ARCHITECTURES: Readonly<
  Record<string, { audit: number; seccomp: number; bpf: number; refused: Readonly<Record<string, number>> }>
> = {
  x64: {
    audit: 0xc000003e,
    seccomp: 317,
    bpf: 321,
    refused: {
      execve: 59,
      ptrace: 101,
      pivot_root: 155,
      mount: 165,
      umount2: 166,
      init_module: 175,
      kexec_load: 246,
      unshare: 272,
      perf_event_open: 298,
      open_by_handle_at: 304,
      setns: 308,
      process_vm_readv: 310,
      process_vm_writev: 311,
      finit_module: 313,
      execveat: 322,
    },
  },
  arm64: {
    audit: 0xc00000b7,
    seccomp: 277,
    bpf: 280,
    refused: {
      umount2: 39,
      mount: 40,
      pivot_root: 41,
      unshare: 97,
      kexec_load: 104,
      init_module: 105,
      ptrace: 117,
      execve: 221,
      perf_event_open: 241,
      open_by_handle_at: 265,
      setns: 268,
      process_vm_readv: 270,
      process_vm_writev: 271,
      finit_module: 273,
      execveat: 281,
    },
  },
};

/** Of enum bpf_cmd: what goes by a descriptor that is there. Maps and programs can neither be made nor found. */
const BPF_COMMANDS_ALLOWED = [
  1, // MAP_LOOKUP_ELEM
  2, // MAP_UPDATE_ELEM
  3, // MAP_DELETE_ELEM
  4, // MAP_GET_NEXT_KEY
  10, // PROG_TEST_RUN
  15, // OBJ_GET_INFO_BY_FD
  21, // MAP_LOOKUP_AND_DELETE_ELEM
  24, // MAP_LOOKUP_BATCH
  25, // MAP_LOOKUP_AND_DELETE_BATCH
  26, // MAP_UPDATE_BATCH
  27, // MAP_DELETE_BATCH
  28, // LINK_CREATE: of iterators, which are opened again and again
  33, // ITER_CREATE
  34, // LINK_DETACH
];

/** What is refused from then on, for the log. */
export const GIVEN_UP = 'loading and finding BPF programs and maps, execve, ptrace, mount, setns, perf events, modules';

interface Step {
  readonly code: number;
  readonly k: number;
  /** Where to go when it holds; otherwise the next. */
  readonly to?: 'refuse' | 'allow' | 'commands';
}

function stepsOf({ audit, bpf, refused }: (typeof ARCHITECTURES)[string]): Step[] {
  const calls: Step[] = [
    { code: LOAD_WORD, k: NUMBER_AT },
    { code: JUMP_AT_LEAST, k: X32_BIT, to: 'refuse' },
    { code: JUMP_EQUAL, k: bpf, to: 'commands' },
    ...Object.values(refused).map((k) => ({ code: JUMP_EQUAL, k, to: 'refuse' }) as const),
    { code: RETURN, k: RETURN_ALLOW },
  ];
  const commands: Step[] = [
    { code: LOAD_WORD, k: FIRST_ARGUMENT_AT },
    ...BPF_COMMANDS_ALLOWED.map((k) => ({ code: JUMP_EQUAL, k, to: 'allow' }) as const),
    { code: RETURN, k: RETURN_EPERM },
    { code: RETURN, k: RETURN_ALLOW },
  ];
  // Another architecture's calls would have other numbers.
  const begin: Step[] = [
    { code: LOAD_WORD, k: ARCHITECTURE_AT },
    { code: JUMP_EQUAL, k: audit },
    { code: RETURN, k: RETURN_EPERM },
  ];
  return [...begin, ...calls, ...commands];
}

/** Encodes the filter of this architecture; null where its numbers aren't known. */
export function describeFilter(architecture: string = process.arch): Uint8Array | null {
  const of = ARCHITECTURES[architecture];
  if (of === undefined) return null;
  const steps = stepsOf(of);
  const targets = {
    allow: steps.length - 1,
    refuse: steps.length - 2,
    commands: steps.findIndex(({ code, k }) => code === LOAD_WORD && k === FIRST_ARGUMENT_AT),
  };
  const filter = Buffer.alloc(steps.length * INSTRUCTION_BYTES);
  steps.forEach(({ code, k, to }, index) => {
    const at = index * INSTRUCTION_BYTES;
    // The architecture's step goes over the refusal behind it.
    const ahead = to === undefined ? (code === JUMP_EQUAL ? 1 : 0) : targets[to] - index - 1;
    filter.writeUInt16LE(code, at);
    filter.writeUInt8(ahead, at + 2);
    filter.writeUInt32LE(k, at + 4);
  });
  return filter;
}

/**
 * Refuses with EPERM, to all threads and what they start, everything of {@link GIVEN_UP}, and sets no_new_privs. Returns why
 * that can't be done here, or null when it is.
 */
export function lockDown(): string | null {
  const filter = describeFilter();
  if (filter === null) return `no list of system calls for ${process.arch}`;
  const libc = koffi.load(null);
  const prctl = libc.func('int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)');
  const syscall = libc.func('long syscall(long number, unsigned int operation, unsigned int flags, void *program)');
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) !== 0) return `no_new_privs: errno ${koffi.errno()}`;
  // struct sock_fprog; the kernel copies the filter before it returns.
  const program = Buffer.alloc(16);
  program.writeUInt16LE(filter.length / INSTRUCTION_BYTES);
  program.writeBigUInt64LE(addressOf(filter), 8);
  const { seccomp } = ARCHITECTURES[process.arch];
  const result = Number(syscall(seccomp, SECCOMP_SET_MODE_FILTER, FLAG_TSYNC | FLAG_SPEC_ALLOW, program));
  if (result === 0) return null;
  return result < 0 ? `seccomp: errno ${koffi.errno()}` : `seccomp: thread ${result} has a filter of its own`;
}
