// Names of what a record holds as a number: open flags, errnos, file types.
import { constants } from 'node:os';

const isArm = process.arch === 'arm64' || process.arch === 'arm';

/** Bits in the order of include/uapi/asm-generic/fcntl.h; arm has four of its own. Two-bit flags come first. */
const OPEN_FLAGS: readonly (readonly [string, number])[] = [
  ['O_SYNC', 0o4010000],
  ['O_TMPFILE', 0o20000000 | (isArm ? 0o40000 : 0o200000)],
  ['O_CREAT', 0o100],
  ['O_EXCL', 0o200],
  ['O_NOCTTY', 0o400],
  ['O_TRUNC', 0o1000],
  ['O_APPEND', 0o2000],
  ['O_NONBLOCK', 0o4000],
  ['O_DSYNC', 0o10000],
  ['O_ASYNC', 0o20000],
  ['O_DIRECT', isArm ? 0o200000 : 0o40000],
  ['O_LARGEFILE', isArm ? 0o400000 : 0o100000],
  ['O_DIRECTORY', isArm ? 0o40000 : 0o200000],
  ['O_NOFOLLOW', isArm ? 0o100000 : 0o400000],
  ['O_NOATIME', 0o1000000],
  ['O_CLOEXEC', 0o2000000],
  ['O_PATH', 0o10000000],
];
const ACCESS_NAMES = ['O_RDONLY', 'O_WRONLY', 'O_RDWR', 'O_ACCMODE'];

/** Returns flags as one string, such as `O_RDWR|O_CREAT`; bits without a name in hexadecimal at the end. */
export function openFlagsText(flags: number): string {
  const names = [ACCESS_NAMES[flags & 3]];
  let rest = (flags & ~3) >>> 0;
  for (const [name, bits] of OPEN_FLAGS) {
    if ((rest & bits) !== bits) continue;
    names.push(name);
    rest = (rest & ~bits) >>> 0;
  }
  if (rest !== 0) names.push(`0x${rest.toString(16)}`);
  return names.join('|');
}

/** Returns each errno's symbol at its number. */
export function createErrnoNames(): string[] {
  const names: string[] = [];
  for (const [name, number] of Object.entries(constants.errno)) names[number] ??= name;
  // The kernel's own names, where the C library has a second one.
  names[constants.errno.EAGAIN] = 'EAGAIN';
  names[constants.errno.EOPNOTSUPP] = 'EOPNOTSUPP';
  return names;
}

/** Returns each signal's symbol at its number; SIGRTMIN+n has a number only. */
export function createSignalNames(): string[] {
  const names = Array.from({ length: 65 }, (_, number) => String(number));
  for (const [name, number] of Object.entries(constants.signals)) {
    if (names[number] === String(number)) names[number] = name;
  }
  return names;
}

/** fdspan.file.type by the highest four bits of st_mode. */
export const FILE_TYPES: readonly (string | undefined)[] = [
  undefined,
  'fifo',
  'character_device',
  undefined,
  'directory',
  undefined,
  'block_device',
  undefined,
  'regular',
  undefined,
  'symbolic_link',
  undefined,
  'socket',
];
