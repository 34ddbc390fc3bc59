// fdspan as its unit runs it on a booted host: installs the unit from the checkout, and asks the service
// manager and the journal about it, never fdspan.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Counters, LogLine } from './collector-process.ts';
import { CHECKOUT_INSIDE, type CommandResult, type SystemdHost } from './systemd-host.ts';

export interface UnitOptions {
  /** The text of /etc/fdspan/fdspan.yaml. */
  readonly config: string;
  /** Lines of a drop-in's [Service] section. */
  readonly service?: readonly string[];
}

export interface InstalledUnit {
  /** Runs `systemctl VERB fdspan.service`. */
  control(...argv: readonly string[]): Promise<CommandResult>;
  /** Properties of `systemctl show`, by name. */
  show(...names: readonly string[]): Promise<Readonly<Record<string, string>>>;
  /** Asks until the properties are so; fails with the journal when that takes more than a minute. */
  until(
    isSo: (properties: Readonly<Record<string, string>>) => boolean,
    ...names: readonly string[]
  ): Promise<Readonly<Record<string, string>>>;
  /** The messages of the unit, fdspan's and systemd's. */
  journal(): Promise<readonly string[]>;
  /** Asks until fdspan has logged a message that begins so; fails with the journal as `until` does. */
  untilLog(msg: string): Promise<void>;
  /** Those that fdspan wrote as JSON. */
  logs(): Promise<readonly LogLine[]>;
  /** The counters of the last summary; fails when the last line isn't one. */
  summary(): Promise<Counters>;
}

export const UNIT = 'fdspan.service';

const unitFile = join(import.meta.dirname, '../../deploy/systemd', UNIT);
const usersFile = join(import.meta.dirname, '../../deploy/systemd/fdspan.sysusers');
const PATH_OF_UNIT = `/etc/systemd/system/${UNIT}`;

/** Reason: RestartSec is 2 s, a start on a busy machine takes 4; this is ten times as long. */
const UNTIL_TIMEOUT_MS = 60_000;
const LOOK_MS = 20;

/** Installs the unit as a package does: unit file, program in /usr/bin, configuration. */
export async function installUnit(host: SystemdHost, options: UnitOptions): Promise<InstalledUnit> {
  await write(host, PATH_OF_UNIT, readFileSync(unitFile, 'utf8'));
  await write(host, '/etc/sysusers.d/fdspan.conf', readFileSync(usersFile, 'utf8'));
  await must(host, ['systemd-sysusers', 'fdspan.conf']);
  await write(host, '/etc/fdspan/fdspan.yaml', options.config);
  if (options.service !== undefined)
    await write(host, `${PATH_OF_UNIT}.d/test.conf`, ['[Service]', ...options.service, ''].join('\n'));
  await must(host, ['ln', '-s', `${CHECKOUT_INSIDE}/bin/fdspan`, '/usr/bin/fdspan']);
  await must(host, ['systemctl', 'daemon-reload']);
  return describeUnit(host);
}

function describeUnit(host: SystemdHost): InstalledUnit {
  const show: InstalledUnit['show'] = async (...names) => {
    const text = await must(host, ['systemctl', 'show', UNIT, '--property', names.join(',')]);
    return Object.fromEntries(
      text
        .trimEnd()
        .split('\n')
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
  };
  const journal: InstalledUnit['journal'] = async () => {
    await must(host, ['journalctl', '--sync']);
    const text = await must(host, ['journalctl', '--unit', UNIT, '--output', 'cat', '--all', '--no-pager']);
    return text.trimEnd().split('\n');
  };
  const logs: InstalledUnit['logs'] = async () =>
    (await journal()).filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as LogLine);
  return {
    control: (verb, ...rest) => host.run(['systemctl', verb, ...rest, UNIT]),
    show,
    journal,
    logs,
    until: async (isSo, ...names) => {
      const deadline = Date.now() + UNTIL_TIMEOUT_MS;
      for (;;) {
        const properties = await show(...names);
        if (isSo(properties)) return properties;
        if (Date.now() > deadline)
          assert.fail(`${JSON.stringify(properties)} after ${UNTIL_TIMEOUT_MS} ms:\n${await said()}`);
        await delay(LOOK_MS);
      }
    },
    untilLog: async (msg) => {
      const deadline = Date.now() + UNTIL_TIMEOUT_MS;
      while (!(await logs()).some((line) => String(line.msg).startsWith(msg))) {
        if (Date.now() > deadline) assert.fail(`no "${msg}" after ${UNTIL_TIMEOUT_MS} ms:\n${await said()}`);
        await delay(LOOK_MS);
      }
    },
    summary: async () => {
      const last = (await logs()).at(-1);
      assert.equal(last?.msg, 'summary', `the last line is the summary:\n${await said()}`);
      return last.counters as Counters;
    },
  };

  async function said(): Promise<string> {
    return (await journal()).join('\n');
  }
}

async function write(host: SystemdHost, path: string, text: string): Promise<void> {
  const script = 'mkdir -p "$(dirname "$1")" && cat > "$1"';
  const result = await host.run(['sh', '-c', script, 'sh', path], { input: text });
  assert.equal(result.exitCode, 0, result.stderr);
}

async function must(host: SystemdHost, argv: readonly string[]): Promise<string> {
  const result = await host.run(argv);
  assert.equal(result.exitCode, 0, `${argv.join(' ')}: ${result.stderr}`);
  return result.stdout;
}

/** Runs a shell script in a scope that looks like docker's under the systemd driver; returns its container id. */
export async function runAsContainer(
  host: SystemdHost,
  script: string,
  id = randomBytes(32).toString('hex'),
): Promise<string> {
  const scope = ['systemd-run', '--scope', '--quiet', `--unit=docker-${id}.scope`];
  await must(host, [...scope, 'sh', '-c', script]);
  return id;
}
