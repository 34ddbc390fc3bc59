// Text of containers on its way to a terminal or a log: what could move the cursor, change colours or
// turn the reading direction is shown as an escape instead. Never throws, whatever the text.

/**
 * C0 and C1 controls, DEL, line and paragraph separators, every bidirectional control, zero-width
 * characters and byte order marks, tags, and halves of surrogate pairs.
 */
const UNSAFE =
  // eslint-disable-next-line no-control-regex
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}\ud800-\udfff]/gu;

/** Wide on a terminal: the East Asian blocks and the pictographs (an approximation of UAX #11). */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

const COMBINING = /\p{M}/u;

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });

function escapeOne(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return code <= 0xff ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
}

/** Returns the text with every character that a terminal could obey as `\xNN` or `\u{N…}`. */
export function escapeControls(text: string): string {
  return text.replace(UNSAFE, escapeOne);
}

/** Returns the JSON text with the same characters as `\uNNNN`: still the same JSON value. */
export function escapeJsonControls(json: string): string {
  return json.replace(UNSAFE, (character) => {
    let escaped = '';
    for (let unit = 0; unit < character.length; unit++) {
      escaped += `\\u${character.charCodeAt(unit).toString(16).padStart(4, '0')}`;
    }
    return escaped;
  });
}

function columnsOf(grapheme: string): number {
  if (WIDE.test(grapheme)) return 2;
  return COMBINING.test(grapheme[0]) ? 0 : 1;
}

const ASCII = /^[\x20-\x7e]*$/;

/** Returns how many terminal columns an escaped text takes. */
export function displayColumns(text: string): number {
  if (ASCII.test(text)) return text.length;
  let columns = 0;
  for (const { segment } of graphemes.segment(text)) columns += columnsOf(segment);
  return columns;
}

function takeColumns(parts: readonly string[], columnsMax: number): string[] {
  const taken: string[] = [];
  let columns = 0;
  for (const part of parts) {
    columns += columnsOf(part);
    if (columns > columnsMax) break;
    taken.push(part);
  }
  return taken;
}

function split(text: string): string[] {
  if (ASCII.test(text)) return text.split('');
  return Array.from(graphemes.segment(text), ({ segment }) => segment);
}

/** Returns the text cut at its end to so many columns, `…` standing for the rest. */
export function cutEnd(text: string, columnsMax: number): string {
  if (displayColumns(text) <= columnsMax) return text;
  return `${takeColumns(split(text), columnsMax - 1).join('')}…`;
}

/** Returns the text cut in its middle: of a path, the tail tells more, and gets two thirds. */
export function cutMiddle(text: string, columnsMax: number): string {
  if (displayColumns(text) <= columnsMax) return text;
  const parts = split(text);
  const headColumns = Math.floor((columnsMax - 1) / 3);
  const head = takeColumns(parts, headColumns);
  const tail = takeColumns(parts.reverse(), columnsMax - 1 - headColumns);
  return `${head.join('')}…${tail.reverse().join('')}`;
}

/** Returns the text filled with spaces to so many columns. */
export function padEnd(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - displayColumns(text)));
}

/** Returns the text moved to the right edge of so many columns. */
export function padStart(text: string, columns: number): string {
  return ' '.repeat(Math.max(0, columns - displayColumns(text))) + text;
}
