// Which paths are hidden before they leave the process, and how.

export interface RedactRule {
  /** A glob over whole paths. */
  readonly path: string;
  readonly with: 'mask' | 'hash';
}

export interface Redaction {
  /** The first that matches decides. */
  readonly rules: readonly RedactRule[];
  /** 16 bytes; whoever has it can try out paths. */
  readonly key: Uint8Array;
}
