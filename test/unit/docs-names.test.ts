// Names in the documents are names of the program, and the program's metrics and attributes are in the documents.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { KEYS } from '../../src/config/schema.ts';
import { COUNTERS, GAUGES } from '../../src/telemetry/instrument-list.ts';

const root = join(import.meta.dirname, '../..');
const textOf = (path: string): string => readFileSync(join(root, path), 'utf8');

function sourcesOf(folder: string, ending: RegExp): string {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter(
      (entry) => entry.isFile() && ending.test(entry.name) && !entry.parentPath.includes('node_modules'),
    )
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
    .join('\n');
}

const source = sourcesOf('src', /\.ts$/);
const everything = [source, sourcesOf('bpf', /\.[ch]$/), sourcesOf('scripts', /\.(ts|sh)$/)].join('\n');
const pages = readdirSync(join(root, 'docs'))
  .filter((name) => name.endsWith('.md'))
  .map((name) => `docs/${name}`);
const told = [...pages, 'README.md'];

/** Texts in backticks; `.short` after `a.long` is a.short, and `a.b|c` is a.b and a.c, as a reader takes it. */
function namesIn(path: string): string[] {
  const names: string[] = [];
  let before = '';
  for (const [, text] of textOf(path)
    .replaceAll('\\|', '|')
    .matchAll(/`([^`\n]+)`/g)) {
    const whole = text.startsWith('.') ? before.replace(/\.[^.]*$/, text) : text;
    const [first, ...others] = whole.split('|');
    names.push(first, ...others.map((other) => first.replace(/\.[^.]*$/, `.${other}`)));
    if (!text.startsWith('.')) before = first;
  }
  return names;
}

/** Attributes and metrics as the program writes them; the names of metrics are put together in places. */
const written = new Set([
  ...[...source.matchAll(/['"`]((?:[a-z][a-z0-9_]*\.)+[a-z0-9_]+)['"`]/g)].map(([, name]) => name),
  ...[...COUNTERS, ...GAUGES].map(({ name }) => name),
  ...[...source.matchAll(/descriptor\(\s*'([a-z_.]+)'/g)].flatMap(([, name]) => [
    `fdspan.${name}`,
    `fdspan.container.pressure.${name}`,
  ]),
]);
/** `fdspan.files.${access}`: what follows is a word of the program. */
const prefixes = [...source.matchAll(/`((?:[a-z]+\.)+)\$\{/g)].map(([, prefix]) => prefix);
const isWritten = (name: string): boolean =>
  written.has(name) || prefixes.some((prefix) => name.startsWith(prefix));
const OF_TELEMETRY =
  /^(fdspan|otel|process|thread|container|k8s|host|os|file|error|telemetry|service)\.[a-z0-9_.]*[a-z0-9_]$/;
const keys = Object.keys(KEYS);
const isKey = (name: string): boolean => keys.some((key) => key === name || key.startsWith(`${name}.`));

for (const path of told)
  test(`${path} names only attributes, metrics and keys that there are`, () => {
    for (const name of namesIn(path)) {
      if (OF_TELEMETRY.test(name)) assert.ok(isWritten(name) || isKey(name), name);
      const section = name.split('.')[0];
      const looksLikeKey =
        /^[a-z_0-9]+(\.[a-z_0-9]+)+$/.test(name) && keys.some((key) => key.startsWith(`${section}.`));
      if (looksLikeKey) assert.ok(isKey(name) || isWritten(name), name);
    }
  });

/** Of the kernel, Tempo and Elasticsearch. */
const OF_OTHERS = [
  'ignore_above',
  'max_attribute_bytes',
  'max_traces_per_user',
  'max_bytes_per_trace',
  'copy_file_range',
  'https_proxy',
  'http_proxy',
  'no_proxy',
];

test('counters, programs and other words with an underscore in the documents are in the program', () => {
  const prometheus = ['fdspan.drops', ...COUNTERS.map(({ name }) => name)].map(
    (name) => `${name.replaceAll('.', '_')}_total`,
  );
  const words = new Set([...everything.match(/\w+/g)!, ...OF_OTHERS, ...prometheus]);
  for (const path of told.filter((it) => !/(overhead|metrics)\.md$/.test(it)))
    for (const name of namesIn(path))
      if (/^[a-z]+(_[a-z0-9]+)+$/.test(name)) assert.ok(words.has(name), `${name} in ${path}`);
});

test('every attribute of spans, resources and roots is in the data model', () => {
  const model = new Set(pages.flatMap(namesIn));
  const files = ['src/encode/attribute-blocks.ts', 'src/containers/resource.ts', 'src/containers/host.ts'];
  const attributes = files.flatMap((file) => [
    ...textOf(file).matchAll(/'((?:[a-z][a-z0-9_]*\.)+[a-z0-9_]+)'/g),
  ]);
  const names = attributes.map(([, name]) => name).filter((name) => OF_TELEMETRY.test(name));
  assert.ok(names.length > 60, names.join(' '));
  for (const name of names) assert.ok(model.has(name), name);
});

test('every metric is in a page', () => {
  const all = new Set(pages.flatMap(namesIn));
  for (const { name } of [...COUNTERS, ...GAUGES]) assert.ok(all.has(name), name);
  for (const [, name] of source.matchAll(
    /create(?:Observable)?(?:Histogram|Counter|UpDownCounter|Gauge)\('([a-z_.]+)'/g,
  ))
    assert.ok(all.has(name), name);
  for (const [, name] of source.matchAll(/descriptor\(\s*'([a-z_.]+)'/g))
    assert.ok(all.has(`fdspan.${name}`) || all.has(`fdspan.container.pressure.${name}`), name);
});

test('the commands of npm that the documents name are there, and each that is there is named', () => {
  const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> };
  const documents = [...told, 'CONTRIBUTING.md'].map(textOf).join('\n');
  const named = new Set(
    [...documents.matchAll(/\bnpm (?:run )?(test\b(?!:)|(?<=run )[a-z]+(?::[a-z]+)?)/g)].map(
      ([, name]) => name,
    ),
  );
  assert.deepEqual([...named].toSorted(), Object.keys(scripts).toSorted());
});
