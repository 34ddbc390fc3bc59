// Why an engine's API gave no usable answer.

export type EngineErrorCode =
  /** No socket, nobody listens on it, or the connection broke. */
  | 'unreachable'
  | 'not_permitted'
  /** An HTTP status other than 200 and 404. */
  | 'refused'
  /** The answer is not what this API answers. */
  | 'garbage'
  /** The answer is longer than is read. */
  | 'too_long'
  /** The answers of one user's engine are more than is read in a second. */
  | 'too_many'
  /** The source was closed meanwhile. */
  | 'closed';

export class EngineError extends Error {
  readonly code: EngineErrorCode;

  constructor(code: EngineErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EngineError';
    this.code = code;
  }
}

/** Turns an error of the connection into one that says which socket, and what to do. */
export function connectionError(address: string, cause: unknown): EngineError {
  if (cause instanceof EngineError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  const what = `${address}: ${code ?? message}`;
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return new EngineError('not_permitted', `${what}: run as root or add CAP_DAC_OVERRIDE`, { cause });
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new EngineError('unreachable', `${what}: the runtime isn't running`, { cause });
    default:
      // The parser's errors mean that something else than an HTTP server answers.
      return code?.startsWith('HPE_') === true
        ? new EngineError('garbage', `${what}: not an HTTP answer`, { cause })
        : new EngineError('unreachable', what, { cause });
  }
}
