// What an open asks for, by its flags: ACCESS_* of the record's layout.
import { ACCESS_PATH } from './record-layout.ts';

const O_ACCMODE = 3;
const O_PATH = 0o10000000;

/** Values of fdspan.access by ACCESS_*; `none` asks for neither (ioctl only). */
export const ACCESSES = ['read', 'write', 'read_write', 'none', 'path'];

/** Returns the ACCESS_* of open flags. O_PATH asks for no access, whatever its access bits. */
export function accessOf(openFlags: number): number {
  return (openFlags & O_PATH) !== 0 ? ACCESS_PATH : openFlags & O_ACCMODE;
}
