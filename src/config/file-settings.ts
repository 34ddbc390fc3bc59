// The configuration file, or the YAML of a whole section, as settings with their lines.
import { isUtf8 } from 'node:buffer';
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { quotedName, type Problem } from './problems.ts';
import { KEYS } from './schema.ts';
import type { Setting } from './setting.ts';
import { suggestionFor } from './suggestion.ts';
import { lineAt, readYaml, type Written } from './yaml-text.ts';

export const DEFAULT_FILE = '/etc/fdspan/fdspan.yaml';

/** Reason: twenty times config/default.yaml; a wrong path must not fill the memory. Overflow: a problem that says so. */
export const FILE_BYTES_MAX = 128 * 1024;

const SECTIONS = new Set(
  Object.keys(KEYS).flatMap((key) =>
    key
      .split('.')
      .slice(0, -1)
      .map((_name, index, names) => names.slice(0, index + 1).join('.')),
  ),
);

export function isSection(key: string): boolean {
  return SECTIONS.has(key);
}

/** Reads the file; without one named, the default file where it exists. */
export function settingsOfFile(file: string | undefined, problems: Problem[]): Setting[] {
  const path = file ?? (existsSync(DEFAULT_FILE) ? DEFAULT_FILE : undefined);
  if (path === undefined) return [];
  const shownPath = path === '' ? '--config ""' : path;
  const tell = (source: string, message: string): void => void problems.push({ source, key: null, message });
  let content: Buffer;
  try {
    content = readBounded(path);
  } catch (error) {
    tell(shownPath, `${(error as Error).message}; give --config an existing, readable file`);
    return [];
  }
  if (content.length > FILE_BYTES_MAX) {
    tell(shownPath, `has more than ${FILE_BYTES_MAX} bytes, the most that is read`);
    return [];
  }
  if (!isUtf8(content)) {
    tell(`${shownPath}:${firstLineNotUtf8(content)}`, "isn't UTF-8: save the file in that encoding");
    return [];
  }
  return settingsOfYaml(content.toString(), '', (line) => `${shownPath}:${line}`, problems);
}

/** Also reads pipes (`--config <(…)`): no size is asked before. */
function readBounded(path: string): Buffer {
  const buffer = Buffer.alloc(FILE_BYTES_MAX + 1);
  const descriptor = openSync(path, 'r');
  try {
    let length = 0;
    while (length < buffer.length) {
      const count = readSync(descriptor, buffer, length, buffer.length - length, null);
      if (count === 0) break;
      length += count;
    }
    return buffer.subarray(0, length);
  } finally {
    closeSync(descriptor);
  }
}

/** A line end is never part of another character in UTF-8. */
function firstLineNotUtf8(content: Buffer): number {
  let line = 1;
  for (let begin = 0; begin < content.length; line += 1) {
    const end = content.indexOf(0x0a, begin);
    if (!isUtf8(content.subarray(begin, end === -1 ? content.length : end))) return line;
    begin = end === -1 ? content.length : end + 1;
  }
  return line;
}

/** Returns the settings below `section` (empty: the whole configuration). */
export function settingsOfYaml(
  text: string,
  section: string,
  originAt: (line: number) => string,
  problems: Problem[],
): Setting[] {
  const yaml = readYaml(text.startsWith('\ufeff') ? text.slice(1) : text);
  for (const { line, message } of yaml.problems) {
    problems.push({ source: originAt(line), key: section === '' ? null : section, message });
  }
  const collector = new Collector(originAt, problems);
  if (yaml.written !== null) collector.collect(yaml.written, section);
  return collector.settings;
}

class Collector {
  readonly settings: Setting[] = [];
  readonly #lines = new Map<string, number>();
  readonly #originAt: (line: number) => string;
  readonly #problems: Problem[];

  constructor(originAt: (line: number) => string, problems: Problem[]) {
    this.#originAt = originAt;
    this.#problems = problems;
  }

  /** A section without anything below sets nothing. */
  collect(written: Written, section: string): void {
    if (written.entries === undefined) {
      if (written.value === null) return;
      const example = Object.keys(KEYS).find((key) => key.startsWith(section === '' ? '' : `${section}.`))!;
      this.#tell(written.line, section, `must hold keys and values, such as ${example}`);
      return;
    }
    for (const entry of written.entries) {
      const key = section === '' ? entry.key : `${section}.${entry.key}`;
      if (isSection(key)) this.collect(entry.written, key);
      else if (Object.hasOwn(KEYS, key)) this.#take(key, entry.written, entry.line);
      else this.#tell(entry.line, '', `unknown key ${quotedName(key)}${suggestionFor(key)}`);
    }
  }

  /** One key can stand twice: below its sections, and with dots. */
  #take(key: string, written: Written, line: number): void {
    const before = this.#lines.get(key);
    if (before !== undefined) this.#tell(line, key, `line ${before} has it already: keep one`);
    this.#lines.set(key, line);
    this.settings.push({
      key,
      value: written.value,
      origin: this.#originAt(line),
      originOf: (path) => this.#originAt(path.length === 0 ? line : lineAt(written, path)),
    });
  }

  #tell(line: number, key: string, message: string): void {
    this.#problems.push({ source: this.#originAt(line), key: key === '' ? null : key, message });
  }
}
