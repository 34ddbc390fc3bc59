// The bytes of a request as the backend takes them now: what is fresh, and what waited in another encoding.
import { BodyPool } from './body-pool.ts';
import { compress, isDamage, recompress, type Encoding } from './encoding.ts';
import { exactCopy } from './exact-copy.ts';
import type { WaitingRequest } from './request-queue.ts';
import { retryable, type Damaged, type Retryable } from './send-result.ts';

export class BodyEncoder {
  readonly #bodies = new BodyPool();
  /** What the backend takes, as far as is known. */
  encoding: Encoding;

  constructor(encoding: Encoding) {
    this.encoding = encoding;
  }

  /** Returns a copy of the bytes, compressed; or as they are where there is no memory to compress them. */
  async encode(bytes: Uint8Array): Promise<{ readonly body: Buffer; readonly encoding: Encoding }> {
    const { encoding } = this;
    if (encoding === 'identity') return { body: this.#bodies.copy(bytes), encoding };
    try {
      return { body: await compress(bytes, encoding), encoding };
    } catch {
      return { body: exactCopy(bytes), encoding: 'identity' };
    }
  }

  /** Puts a request into the encoding of now; returns why it can't, or null. */
  async encodeAgain(request: WaitingRequest): Promise<Retryable | Damaged | null> {
    const { encoding } = this;
    if (request.encoding === encoding) return null;
    try {
      request.body = await recompress(request.body, request.encoding, encoding);
      request.encoding = encoding;
      return null;
    } catch (error) {
      const { message: reason } = error as Error;
      if (request.stored !== null && isDamage(error as NodeJS.ErrnoException))
        return { kind: 'damaged', reason };
      return retryable(`compressing a request again: ${reason}`, 'give fdspan more memory');
    }
  }

  /** Takes back a body that nobody reads any more. */
  giveBack(body: Buffer, encoding: Encoding): void {
    if (encoding === 'identity') this.#bodies.giveBack(body);
  }
}
