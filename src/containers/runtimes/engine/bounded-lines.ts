// Cuts a stream of bytes into lines of bounded length.

const NEWLINE = 0x0a;

/** Holds at most the bytes of one line; a longer one is skipped up to its newline, and counted. */
export class BoundedLines {
  readonly #bytesMax: number;
  #parts: Buffer[] = [];
  #bytes = 0;
  #isSkipping = false;
  /** Lines that were longer than may be. */
  skipped = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Returns the lines that end in `chunk`, without their newlines and decoded; bytes that aren't UTF-8 become U+FFFD. */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start);
      this.#take(chunk.subarray(start, end === -1 ? chunk.length : end));
      if (end === -1) return lines;
      if (!this.#isSkipping) lines.push(Buffer.concat(this.#parts).toString('utf8'));
      this.#clear();
      this.#isSkipping = false;
      start = end + 1;
    }
  }

  #take(part: Buffer): void {
    if (this.#isSkipping || part.length === 0) return;
    this.#bytes += part.length;
    if (this.#bytes <= this.#bytesMax) {
      this.#parts.push(part);
      return;
    }
    this.#clear();
    this.#isSkipping = true;
    this.skipped += 1;
  }

  #clear(): void {
    this.#parts = [];
    this.#bytes = 0;
  }
}
