// Globs of allow and deny rules. Time is (pattern × text) for any pattern and any text: the states
// of the pattern are walked together, nothing is tried twice.

/** Reason: a rule names one container or group; a longer pattern is a mistake, and throws. */
export const GLOB_CHARS_MAX = 1024;

const LITERAL = 0;
const ANY_ONE = 1;
const STAR = 2;
const GLOBSTAR = 3;
/** A globstar and its slash: zero or more whole segments. */
const GLOBSTAR_SLASH = 4;

interface Token {
  readonly kind: number;
  readonly char: number;
}

export type Glob = (text: string) => boolean;

/**
 * Compiles a glob that must match the whole text. `?` is one character, `\` takes the next one as it
 * is. In a `name` a star matches anything. In a `path` one star stays within a segment, two match
 * across `/`, and two as a whole segment also match no segment at all.
 */
export function compileGlob(pattern: string, form: 'name' | 'path'): Glob {
  if (pattern.length > GLOB_CHARS_MAX) {
    throw new RangeError(`glob of ${pattern.length} characters is longer than ${GLOB_CHARS_MAX}`);
  }
  const tokens = tokensOf(pattern, form);
  let active = new Uint8Array(tokens.length + 1);
  let following = new Uint8Array(tokens.length + 1);
  return (text) => {
    active.fill(0);
    enter(tokens, active, 0);
    for (let i = 0; i < text.length; i++) {
      following.fill(0);
      const isAlive = step(tokens, active, following, text.charCodeAt(i), form === 'path');
      [active, following] = [following, active];
      if (!isAlive) return false;
    }
    return active[tokens.length] === 1;
  };
}

function tokensOf(pattern: string, form: 'name' | 'path'): Token[] {
  const tokens: Token[] = [];
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i];
    if (char === '\\' && i + 1 < pattern.length) {
      tokens.push({ kind: LITERAL, char: pattern.charCodeAt(++i) });
    } else if (char === '?') {
      tokens.push({ kind: ANY_ONE, char: 0 });
    } else if (char !== '*') {
      tokens.push({ kind: LITERAL, char: pattern.charCodeAt(i) });
    } else {
      const start = i;
      while (pattern[i + 1] === '*') i++;
      const isWholeSegment = (start === 0 || pattern[start - 1] === '/') && pattern[i + 1] === '/';
      if (form === 'name') tokens.push({ kind: GLOBSTAR, char: 0 });
      else if (i === start) tokens.push({ kind: STAR, char: 0 });
      else if (!isWholeSegment) tokens.push({ kind: GLOBSTAR, char: 0 });
      else {
        tokens.push({ kind: GLOBSTAR_SLASH, char: 0 });
        i++;
      }
    }
  }
  return tokens;
}

/** Activates a state and those that it reaches without a character. */
function enter(tokens: readonly Token[], states: Uint8Array, index: number): void {
  let at = index;
  while (states[at] === 0 || at === index) {
    states[at] = 1;
    if (at >= tokens.length || tokens[at].kind < STAR) return;
    at++;
  }
}

const SLASH = 0x2f;

function step(
  tokens: readonly Token[],
  active: Uint8Array,
  following: Uint8Array,
  char: number,
  isPath: boolean,
): boolean {
  let isAlive = false;
  for (let at = 0; at < tokens.length; at++) {
    if (active[at] === 0) continue;
    const { kind, char: wanted } = tokens[at];
    const isSlash = isPath && char === SLASH;
    if (kind === LITERAL ? char === wanted : kind === ANY_ONE && !isSlash) {
      enter(tokens, following, at + 1);
      isAlive = true;
    } else if (kind === GLOBSTAR || (kind === STAR && !isSlash)) {
      enter(tokens, following, at);
      isAlive = true;
    } else if (kind === GLOBSTAR_SLASH) {
      // Within a segment the state waits for its slash; only there the next token may begin.
      following[at] = 1;
      if (isSlash) enter(tokens, following, at + 1);
      isAlive = true;
    }
  }
  return isAlive;
}
