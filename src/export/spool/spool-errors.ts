// Why the spool takes nothing, besides what the file system says.

/** There is no room, and nothing may go for it. */
export class SpoolFullError extends Error {
  readonly code = 'SPOOL_FULL';
}

/** The process or the host is short of something: what can't be read now can be read later. */
export function isShortage(error: unknown): boolean {
  return ['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'].includes((error as NodeJS.ErrnoException).code ?? '');
}

/** The disk doesn't answer; the call that waits for it can't be ended. */
export class SpoolHangsError extends Error {
  readonly code = 'SPOOL_HANGS';

  constructor(what: string, forMs: number) {
    super(`${what}: no answer from the disk for ${Math.round(forMs / 1000)} s`);
  }
}
