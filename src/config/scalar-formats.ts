// Formats of single values: switches, numbers, words, durations, sizes, rates, paths.
import { FormatError, show, type Format } from './format.ts';
import { suggest } from './suggest.ts';

/** true or false. */
export const flag: Format<boolean> = {
  text: 'true or false',
  form: 'yaml',
  parse(value) {
    if (typeof value !== 'boolean') throw new FormatError(`must be true or false, not ${show(value)}`);
    return value;
  },
};

/** A whole number within bounds, both included. */
export function whole(min: number, max: number): Format<number> {
  return {
    text: `whole number, ${min} to ${max}`,
    form: 'yaml',
    parse(value) {
      if (typeof value !== 'number' || !Number.isInteger(value)) {
        throw new FormatError(`must be a whole number, not ${show(value)}`);
      }
      if (value < min || value > max) throw new FormatError(`must be ${min} to ${max}, not ${show(value)}`);
      return value;
    },
  };
}

/** A part of a whole. */
export const ratio: Format<number> = {
  text: 'ratio, 0 to 1',
  form: 'yaml',
  parse(value) {
    if (typeof value !== 'number' || !(value >= 0 && value <= 1)) {
      throw new FormatError(`must be a ratio from 0 to 1, not ${show(value)}`);
    }
    return value;
  },
};

/** One of a few words. */
export function oneOf<const T extends string>(...words: readonly T[]): Format<T> {
  return {
    text: words.length === 1 ? `\`${words[0]}\`` : words.map((word) => `\`${word}\``).join(' \\| '),
    form: 'plain',
    parse(value) {
      const word = words.find((candidate) => candidate === value);
      if (word !== undefined) return word;
      const hint = typeof value === 'string' ? suggest(value, words) : '';
      throw new FormatError(`must be ${words.join(' or ')}, not ${show(value)}${hint}`);
    },
  };
}

const NS_OF_UNIT: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

function durationNs(value: unknown): number {
  if (value === 0) return 0;
  const match =
    typeof value === 'string' ? /^([0-9]{1,12}(?:\.[0-9]{1,9})?)(ns|us|ms|s|m|h)$/.exec(value) : null;
  if (match !== null) return Math.round(Number(match[1]) * NS_OF_UNIT[match[2]]);
  if (value === '0') return 0;
  const isBare = typeof value === 'number' || (typeof value === 'string' && /^[0-9.]+$/.test(value));
  const cure = isBare ? 'its unit is missing' : 'write it as 250ms, 10s, 5m or 1h';
  throw new FormatError(`must be a duration, not ${show(value)}: ${cure}`);
}

/** A duration; gives it in units of `unitNs`. Bounds are as users write them, both included. */
function duration(min: string, max: string, unit: 'ns' | 'ms'): Format<number> {
  const [minNs, maxNs] = [durationNs(min), durationNs(max)];
  return {
    text: `duration, ${min} to ${max}`,
    form: 'plain',
    parse(value) {
      const ns = durationNs(value);
      if (ns < minNs || ns > maxNs) throw new FormatError(`must be ${min} to ${max}, not ${show(value)}`);
      const units = ns / NS_OF_UNIT[unit];
      if (!Number.isInteger(units))
        throw new FormatError(`must be a whole number of ${unit}, not ${show(value)}`);
      return units;
    },
  };
}

/** A duration in milliseconds. */
export function durationInMs(min: string, max: string): Format<number> {
  return duration(min, max, 'ms');
}

/** A duration in nanoseconds. */
export function durationInNs(min: string, max: string): Format<number> {
  return duration(min, max, 'ns');
}

const BYTES_OF_UNIT: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

function bytesOf(value: unknown): number {
  const text = typeof value === 'number' ? String(value) : value;
  const match =
    typeof text === 'string' ? /^([0-9]{1,15}(?:\.[0-9]{1,6})?) ?(B|[KMGT]iB)?$/.exec(text) : null;
  const bytes = match === null ? NaN : Number(match[1]) * BYTES_OF_UNIT[match[2] ?? ''];
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new FormatError(`must be a size, not ${show(value)}: write it as 512KiB, 32MiB or 1GiB`);
}

/** A size in bytes. Bounds are as users write them, both included. */
export function bytes(min: string, max: string, { isPowerOfTwo = false } = {}): Format<number> {
  const [minBytes, maxBytes] = [bytesOf(min), bytesOf(max)];
  return {
    text: `size, ${min} to ${max}${isPowerOfTwo ? ', a power of two' : ''}`,
    form: 'plain',
    parse(value) {
      const size = bytesOf(value);
      if (size < minBytes || size > maxBytes)
        throw new FormatError(`must be ${min} to ${max}, not ${show(value)}`);
      if (isPowerOfTwo && !Number.isInteger(Math.log2(size))) {
        throw new FormatError(`must be a power of two (4MiB, 8MiB, 16MiB…), not ${show(value)}`);
      }
      return size;
    },
  };
}

/** Reason: more than any kernel here opens; a larger number is a mistake. */
const RATE_MAX = 100_000_000;

/** Events per second; 0 means no limit. */
export const rate: Format<number> = {
  text: `rate such as \`2000/s\`, up to ${RATE_MAX}/s; 0: no limit`,
  form: 'plain',
  parse(value) {
    if (value === 0 || value === '0') return 0;
    const match = typeof value === 'string' ? /^([0-9]{1,9}(?:\.[0-9]{1,6})?)\/s$/.exec(value) : null;
    if (match === null) throw new FormatError(`must be a rate such as 2000/s, or 0, not ${show(value)}`);
    const perSecond = Number(match[1]);
    if (perSecond > RATE_MAX) throw new FormatError(`must be at most ${RATE_MAX}/s, not ${show(value)}`);
    return perSecond;
  },
};

/** Text of one line that isn't empty. */
export function text(what: string, charsMax: number): Format<string> {
  return {
    text: what,
    form: 'plain',
    parse(value) {
      if (typeof value === 'number' || typeof value === 'boolean') {
        throw new FormatError(`must be text, not ${show(value)}: write it in quotes`);
      }
      if (typeof value !== 'string') throw new FormatError(`must be text (${what}), not ${show(value)}`);
      if (value === '') throw new FormatError(`must be text (${what}), and is empty`);
      if (value.length > charsMax)
        throw new FormatError(`has ${value.length} characters: at most ${charsMax} are allowed`);
      // eslint-disable-next-line no-control-regex
      if (/[\u0000-\u001f\u007f]/.test(value))
        throw new FormatError('has a control character or a line end in it');
      return value;
    },
  };
}

/** The path of a file, absolute: the collector's working directory is nobody's. */
export function path(charsMax = 4095): Format<string> {
  const plain = text('absolute path', charsMax);
  return {
    ...plain,
    parse(value) {
      const file = plain.parse(value);
      if (!file.startsWith('/')) throw new FormatError(`must be an absolute path, not ${show(value)}`);
      return file;
    },
  };
}
