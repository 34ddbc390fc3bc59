// Programs that are many in one file: the process is called by what it was called as (`cat`), not by its file (`busybox`).

export const MULTI_CALL_PROGRAMS: readonly string[] = ['busybox', 'toybox', 'coreutils'];

const encoded = MULTI_CALL_PROGRAMS.map((name) => Buffer.from(name));

/** Whether these bytes are the name of such a program's file. */
export function isMultiCall(bytes: Uint8Array, offset: number, length: number): boolean {
  for (let index = 0; index < encoded.length; index += 1) {
    const name = encoded[index];
    if (name.length !== length) continue;
    let at = 0;
    while (at < length && bytes[offset + at] === name[at]) at += 1;
    if (at === length) return true;
  }
  return false;
}
