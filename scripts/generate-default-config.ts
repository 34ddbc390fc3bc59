// Writes config/default.yaml: every key of the schema with its meaning, default and variable.
import { writeFileSync } from 'node:fs';
import { stringify } from 'yaml';
import { variableOf } from '../src/config/suggestion.ts';
import { KEYS } from '../src/config/schema.ts';

const lines = [
  '# Every key of fdspan, with its default. Copy to /etc/fdspan/fdspan.yaml what you change.',
  '# Made by `npm run generate` from src/config/schema.ts.',
];
let open: string[] = [];
for (const [key, { doc, default: value }] of Object.entries(KEYS)) {
  const parents = key.split('.').slice(0, -1);
  const shared = parents.findIndex((name, depth) => open[depth] !== name);
  for (let depth = shared === -1 ? parents.length : shared; depth < parents.length; depth += 1) {
    lines.push(`${'  '.repeat(depth)}${parents[depth]}:`);
  }
  open = parents;
  const indent = '  '.repeat(parents.length);
  lines.push(`${indent}# ${doc} ${variableOf(key)}`);
  const written = stringify(
    { [key.split('.').at(-1)!]: value },
    { flowCollectionPadding: false, lineWidth: 0, collectionStyle: 'flow' },
  );
  lines.push(`${indent}${written.trim().replace(/^\{(.*)\}$/s, '$1')}`);
}
writeFileSync(new URL('../config/default.yaml', import.meta.url), `${lines.join('\n')}\n`);
