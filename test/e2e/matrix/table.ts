// Writes docs/compatibility.md from what the matrix saw.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, release } from 'node:os';
import { join } from 'node:path';
import * as prettier from 'prettier';
import type { Cell, CellContainer, CellOutcome, RuntimesValue } from './cell.ts';

const FILE = join(import.meta.dirname, '../../../docs/compatibility.md');

const HEAD = `# Compatibility

Which container runtimes fdspan was seen to work with, on which kind of host. \`FDSPAN_WRITE_COMPATIBILITY=1 npm run
test:matrix\` wrote this table from what it saw; a run without a failure is needed for that. In each cell two containers
ran at once. Every span had the right container's id, name, image, labels, runtime, control group and namespaces as far as
the runtime knows them, and nothing of the host arrived.

"Known" lists what is known beside id, group and namespaces. "Asked" is what \`containers.runtimes\` left on: a socket's
API, or \`state\` for the runtime's own files; \`auto\` finds both by itself.
`;

const TAIL_FILE = join(import.meta.dirname, 'compatibility-notes.md');

/** Throws when a cell has no outcome: then its test failed, and the table would tell less than there is. */
export async function writeCompatibility(
  cells: readonly Cell[],
  outcomes: ReadonlyMap<Cell, CellOutcome>,
): Promise<void> {
  const rows = cells.map((cell) => {
    const outcome = outcomes.get(cell);
    if (outcome === undefined)
      throw new Error(`${cell.runtime} on ${cell.host} failed: nothing is written to ${FILE}`);
    return rowOf(cell, outcome);
  });
  const columns = ['Runtime', 'Groups by', 'Host', 'Seen', 'Asked', 'Group', 'Known'];
  const table = [columns, columns.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`);
  const notes = readFileSync(TAIL_FILE, 'utf8');
  const text = `${HEAD}\n## Where\n\n${machineText()}\n\n## What\n\n${table.join('\n')}\n\n${notes}`;
  const options = await prettier.resolveConfig(FILE);
  writeFileSync(FILE, await prettier.format(text, { ...options, parser: 'markdown' }));
}

function rowOf(cell: Cell, outcome: CellOutcome): string[] {
  const start = [cell.runtime, cell.groups, cell.host];
  if (outcome.type === 'refused') return [...start, `can't be had here: ${outcome.reason}`, '', '', ''];
  const { container, runtimes } = outcome;
  const asked = askedText(runtimes);
  if (cell.limit !== undefined) return [...start, `not traced: ${cell.limit}`, asked, '', ''];
  const version = container.group['fdspan.cgroup.version'];
  return [...start, 'yes', asked, `${version} \`${groupText(container)}\``, knownText(container)];
}

function askedText(runtimes: RuntimesValue): string {
  if (runtimes === 'auto') return 'auto';
  return Object.keys(runtimes)
    .filter((name) => runtimes[name] !== 'off')
    .join(', ');
}

/** With words for what another run has otherwise. */
function groupText({ id, group }: CellContainer): string {
  return group['fdspan.cgroup.path']
    .replaceAll('\\x2d', '-')
    .replace(/fdspan-[0-9a-f]{8}-first-space/, 'NAMESPACE')
    .replace(id, 'ID')
    .replace(/fdspan-?test-?[0-9a-f]{12}/, 'PARENT')
    .replace(/pod[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/, 'podUID');
}

const WORDS: readonly (readonly [string, string])[] = [
  ['container.name', 'name'],
  ['container.image.name', 'image'],
  ['container.runtime.version', 'version'],
  ['fdspan.oci.runtime', 'OCI runtime'],
  ['k8s.pod.name', 'pod'],
  ['k8s.deployment.name', 'workload'],
];

function knownText({ expected, labels }: CellContainer): string {
  const known = WORDS.filter(([key]) => expected[key] !== undefined).map(([, word]) => word);
  if (Object.keys(labels).length > 0) known.push('labels');
  return known.join(', ');
}

const VERSIONS: readonly (readonly string[])[] = [
  ['dockerd', '--version'],
  ['podman', '--version'],
  ['containerd', '--version'],
  ['runc', '--version'],
  ['crun', '--version'],
  ['runsc', '--version'],
  ['lxc-start', '--version'],
  ['systemd-nspawn', '--version'],
];

function machineText(): string {
  const system = /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux';
  const lines = VERSIONS.map(([command, ...args]) => `${command}: ${firstLineOf(command, args)}`);
  const text = `${system}, Linux ${release()}, ${process.arch}, ${availableParallelism()} processors, with v1 and v2 control groups (hybrid). The hosts "systemd, …" are booted on it by systemd-nspawn.`;
  return `${text}\n\n${lines.map((line) => `- ${line}`).join('\n')}`;
}

function firstLineOf(command: string, args: readonly string[]): string {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).split(
      '\n',
    )[0];
  } catch {
    return "isn't installed";
  }
}
