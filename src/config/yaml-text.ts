// YAML → plain values that know their lines. Takes any text: a mistake becomes a problem with its line,
// never an error thrown.
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document } from 'yaml';
import type { Path } from './value-error.ts';

/** Reason: the configuration is three deep, rules five. Overflow: a problem with its line. */
const DEPTH_MAX = 16;
/** Reason: after these the parser has lost its way, and tells what follows from them. */
const SYNTAX_PROBLEMS_MAX = 5;

/** A value as it was written. */
export interface Written {
  readonly line: number;
  /** Lists and maps too, as plain arrays and objects; a number keeps its text where that differs (`1.10`). */
  readonly value: unknown;
  readonly items?: readonly Written[];
  readonly entries?: readonly WrittenEntry[];
}

export interface WrittenEntry {
  readonly key: string;
  readonly line: number;
  readonly written: Written;
}

export interface LineProblem {
  readonly line: number;
  readonly message: string;
}

export interface YamlText {
  /** Null when the text is empty or wrong. */
  readonly written: Written | null;
  readonly problems: readonly LineProblem[];
}

/** Reads one YAML document. Time and memory are linear in the text; bound its length before. */
export function readYaml(text: string): YamlText {
  const lines = new LineCounter();
  // Own check of keys that stand twice: the parser compares each with each.
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
    schema: 'core',
  });
  const problems = syntaxProblems(document, lines);
  if (problems.length > 0 || document.contents === null) return { written: null, problems };
  const reader = new Reader(lines);
  const written = reader.read(document.contents, 1, 0);
  return reader.problems.length > 0
    ? { written: null, problems: reader.problems }
    : { written, problems: [] };
}

/** Returns the line of an item, or of the last part of the path that was written. */
export function lineAt(written: Written, path: Path): number {
  let at = written;
  let { line } = written;
  for (const part of path) {
    const entry = at.entries?.find(({ key }) => key === part);
    const next = typeof part === 'number' ? at.items?.[part] : entry?.written;
    if (next === undefined) break;
    at = next;
    line = entry?.line ?? next.line;
  }
  return line;
}

function syntaxProblems(document: Document.Parsed, lines: LineCounter): LineProblem[] {
  const line = (error: { readonly pos: readonly [number, number] }): number =>
    Math.max(1, lines.linePos(error.pos[0]).line);
  const errors = document.errors.map((error) => ({
    line: line(error),
    message: syntaxMessage(error.message),
  }));
  const tags = document.warnings.map((warning) => ({
    line: line(warning),
    message: 'a tag can\'t be used here; put text that begins with "!" in quotes',
  }));
  return [...errors, ...tags].slice(0, SYNTAX_PROBLEMS_MAX);
}

/** What the parser quotes, after a colon, may be a secret. */
function syntaxMessage(message: string): string {
  if (message.includes('call stack')) return 'nested too deep';
  if (message.includes('multiple documents')) return 'a second document begins here: keep one';
  return message.replace(/(?<=\w): .*$/s, '');
}

class Reader {
  readonly problems: LineProblem[] = [];
  readonly #lines: LineCounter;

  constructor(lines: LineCounter) {
    this.#lines = lines;
  }

  /** `line` is where an empty value stands. */
  read(node: unknown, line: number, depth: number): Written {
    const at = this.#lineOf(node) ?? line;
    const empty = { line: at, value: null };
    if (depth > DEPTH_MAX) return this.#refuse(at, `nested more than ${DEPTH_MAX} deep`);
    if (isAlias(node)) {
      return this.#refuse(at, 'an alias can\'t be used here: write the value again, or put "*…" in quotes');
    }
    if (isSeq(node)) {
      const items = node.items.map((item) => this.read(item, at, depth + 1));
      return { line: at, value: items.map(({ value }) => value), items };
    }
    if (isMap(node)) {
      const entries = node.items.flatMap(({ key, value }) => this.#entry(key, value, at, depth));
      this.#refuseTwice(entries);
      return { line: at, value: Object.fromEntries(entries.map((e) => [e.key, e.written.value])), entries };
    }
    return isScalar(node) ? { line: at, value: scalarOf(node) } : empty;
  }

  #entry(key: unknown, value: unknown, line: number, depth: number): WrittenEntry[] {
    const at = this.#lineOf(key) ?? line;
    if (!isScalar(key) || key.value === null) {
      this.#refuse(at, 'a key must be a name');
      return [];
    }
    const name = typeof key.value === 'string' ? key.value : (key.source ?? '');
    if (name === '<<') {
      this.#refuse(at, "a merge key can't be used here: write the keys again");
      return [];
    }
    return [{ key: name, line: at, written: this.read(value, at, depth + 1) }];
  }

  #refuseTwice(entries: readonly WrittenEntry[]): void {
    const first = new Map<string, number>();
    for (const { key, line } of entries) {
      const before = first.get(key);
      if (before === undefined) first.set(key, line);
      else this.#refuse(line, `a key of line ${before} stands here again: keep one`);
    }
  }

  #refuse(line: number, message: string): Written {
    this.problems.push({ line, message });
    return { line, value: null };
  }

  #lineOf(node: unknown): number | null {
    const range = (node as { range?: readonly number[] | null } | null)?.range;
    return range ? Math.max(1, this.#lines.linePos(range[0]).line) : null;
  }
}

function scalarOf({ value, source }: { value: unknown; source?: string }): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number' && (source === undefined || String(value) === source)) return value;
  return source ?? null;
}
