// Configuration files as large as they may be, of what costs most: one piece again and again, many keys, many globs.

/** Gives files of so many bytes at most, and one of so many globs. */
export function* largeConfigs(bytesMax: number, globs: number): Generator<string> {
  for (const each of ['[', '}', '- ', '{a: ', '&a ', '*a,', '\n']) yield each.repeat(bytesMax / each.length);
  const keys = Array.from({ length: bytesMax }, (_value, index) => `k${index}: 1\n`);
  yield keys.slice(0, Math.floor(bytesMax / 11)).join('');
  const list = Array.from({ length: globs }, (_value, index) => `"*${index}*a*b*"`).join(',');
  yield `files: {exclude: [${list}]}`;
}
