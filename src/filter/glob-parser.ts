// Turns globs over paths and names into one nondeterministic automaton over bytes. Runs at start only.
//
// `*` any bytes within a segment; `?` one character; `[a-z]`, `[!a]` one character of a set (ASCII);
// `{a,b}` either; `**` as a whole segment: any directories, also none; `/**` at the end: all below;
// `\x` the character x itself. A glob that doesn't begin with `/` may match below any directory.

/** Nesting of `{…}`: nobody writes more by hand, and the parser recurses once for each. */
const BRACE_DEPTH_MAX = 8;
const SLASH = 0x2f;

/** Edges leave a state on the bytes of a set, or on nothing (epsilon). */
export interface Automaton {
  readonly byteEdges: { readonly set: Uint8Array; readonly to: number }[][];
  readonly emptyEdges: number[][];
}

/** Returns an automaton with one state, where globs begin. */
export function createAutomaton(): Automaton {
  return { byteEdges: [[]], emptyEdges: [[]] };
}

/** Adds a state, where globs may begin, and returns it. */
export function addState(automaton: Automaton): number {
  automaton.emptyEdges.push([]);
  return automaton.byteEdges.push([]) - 1;
}

/** Adds a glob to the automaton from a start and returns its accepting state; throws on a bad glob. */
export function addGlob(automaton: Automaton, glob: string, start: number): number {
  const parser = new GlobParser(automaton, glob);
  return parser.parse(start);
}

class GlobParser {
  private readonly automaton: Automaton;
  private readonly glob: string;
  private readonly text: string;
  private at = 0;

  constructor(automaton: Automaton, glob: string) {
    this.automaton = automaton;
    this.glob = glob;
    this.text = glob.startsWith('/') || glob.startsWith('**/') ? glob : `**/${glob}`;
  }

  parse(start: number): number {
    if (this.glob === '') throw this.error('is empty');
    return this.parseSequence(this.edge(start, this.addState(), null), 0);
  }

  private parseSequence(from: number, depth: number): number {
    let state = from;
    while (this.at < this.text.length) {
      const character = String.fromCodePoint(this.text.codePointAt(this.at) as number);
      if (depth > 0 && (character === ',' || character === '}')) break;
      state = this.parseOne(state, character, depth);
    }
    return state;
  }

  private parseOne(from: number, character: string, depth: number): number {
    this.at += character.length;
    switch (character) {
      case '*':
        return this.parseStars(from);
      case '?':
        return this.character(from, notSlash());
      case '[':
        return this.parseSet(from);
      case '{':
        return this.parseBraces(from, depth + 1);
      case '\\':
        return this.parseEscaped(from);
      default:
        return this.literal(from, character);
    }
  }

  private parseStars(from: number): number {
    const begin = this.at - 1;
    while (this.text[this.at] === '*') this.at += 1;
    const isSegmentStart = begin === 0 || this.text[begin - 1] === '/';
    const isWhole = this.at - begin >= 2 && isSegmentStart;
    if (isWhole && this.text[this.at] === '/') {
      this.at += 1;
      const loop = this.repeat(from, anyByte());
      const end = this.addState();
      this.edge(loop, end, oneByte(SLASH));
      return this.edge(from, end, null);
    }
    if (isWhole && this.at === this.text.length) {
      return this.repeat(this.edge(from, this.addState(), anyByte()), anyByte());
    }
    return this.repeat(from, notSlash(true));
  }

  private parseSet(from: number): number {
    const close = this.text.indexOf(']', this.at + 1);
    if (close < 0) throw this.error('has a [ without ]');
    let body = this.text.slice(this.at, close);
    this.at = close + 1;
    const isNegated = body.startsWith('!') || body.startsWith('^');
    if (isNegated) body = body.slice(1);
    // eslint-disable-next-line no-control-regex
    if (!/^[\x01-\x7f]+$/.test(body)) throw this.error('has a set that is empty or not ASCII');
    const members = new Uint8Array(256);
    for (let index = 0; index < body.length; index += 1) {
      const isRange = body[index + 1] === '-' && index + 2 < body.length;
      const first = body.charCodeAt(index);
      const last = isRange ? body.charCodeAt(index + 2) : first;
      if (last < first) throw this.error(`has the range ${body.slice(index, index + 3)} backwards`);
      members.fill(1, first, last + 1);
      if (isRange) index += 2;
    }
    const set = notSlash();
    return this.character(
      from,
      set.map((isIn, byte) => (isIn === 1 && (members[byte] === 1) !== isNegated ? 1 : 0)),
    );
  }

  private parseBraces(from: number, depth: number): number {
    if (depth > BRACE_DEPTH_MAX) throw this.error(`nests { more than ${BRACE_DEPTH_MAX} deep`);
    const end = this.addState();
    for (;;) {
      const branch = this.edge(from, this.addState(), null);
      this.edge(this.parseSequence(branch, depth), end, null);
      const separator = this.text[this.at];
      this.at += 1;
      if (separator === '}') return end;
      if (separator !== ',') throw this.error('has a { without }');
    }
  }

  private parseEscaped(from: number): number {
    if (this.at >= this.text.length) throw this.error('ends in a backslash');
    const character = String.fromCodePoint(this.text.codePointAt(this.at) as number);
    this.at += character.length;
    return this.literal(from, character);
  }

  private literal(from: number, character: string): number {
    let state = from;
    for (const byte of Buffer.from(character)) state = this.edge(state, this.addState(), oneByte(byte));
    return state;
  }

  /** One character: a first byte of the set, then UTF-8 continuation bytes. */
  private character(from: number, set: Uint8Array): number {
    const continuation = new Uint8Array(256).fill(1, 0x80, 0xc0);
    return this.repeat(this.edge(from, this.addState(), set), continuation);
  }

  private repeat(from: number, set: Uint8Array): number {
    const state = this.edge(from, this.addState(), null);
    this.edge(state, state, set);
    return state;
  }

  private edge(from: number, to: number, set: Uint8Array | null): number {
    if (set === null) this.automaton.emptyEdges[from].push(to);
    else this.automaton.byteEdges[from].push({ set, to });
    return to;
  }

  private addState(): number {
    return addState(this.automaton);
  }

  private error(problem: string): Error {
    return new Error(`glob ${JSON.stringify(this.glob)} ${problem}`);
  }
}

function oneByte(byte: number): Uint8Array {
  return new Uint8Array(256).fill(1, byte, byte + 1);
}

function anyByte(): Uint8Array {
  return new Uint8Array(256).fill(1);
}

/** All bytes but `/`; continuation bytes only when asked for, as they begin no character. */
function notSlash(withContinuation = false): Uint8Array {
  const set = anyByte();
  set[SLASH] = 0;
  return withContinuation ? set : set.fill(0, 0x80, 0xc0);
}
