// `fdspan doctor`: what this host can do, which attach mode and scope would be used, and the cure for each
// problem. Changes nothing on the host; only the attach probe loads programs, and takes them out again.
import { arch, release } from 'node:os';
import { parseArgs } from 'node:util';
import { escapeControls, escapeJsonControls } from '../telemetry/terminal-text.ts';
import { exitCodeOfChecks, problem, type Check, type CheckStatus, type DoctorHost } from './doctor-check.ts';
import {
  checkBtf,
  checkKernel,
  checkLockdown,
  checkMemlock,
  checkMemory,
  checkPrivileges,
} from './doctor-kernel.ts';
import {
  checkAttachModes,
  checkBackend,
  checkLibraries,
  checkNode,
  type ProbeAttachModes,
} from './doctor-programs.ts';
import { checkRuntimes } from './doctor-runtimes.ts';
import { checkScope } from './doctor-scope.ts';
import type { CommandStreams } from './identify.ts';

const EXIT_USAGE = 64;

/** What of the configuration the checks depend on. */
export interface DoctorSettings {
  readonly btfPath: string | null;
  readonly endpoint: string;
  /** Of the pending table and the ring together. */
  readonly mapBytes: number;
  /** Of the whole process under load, maps included. */
  readonly memoryBytes: number;
}

const MEBIBYTE = 1 << 20;

/** The defaults of config/default.yaml: 262,144 open files of 512 bytes, ring of 8 MiB, queue of 32 MiB. */
const SETTINGS_DEFAULT: DoctorSettings = {
  btfPath: null,
  endpoint: 'http://127.0.0.1:4317',
  mapBytes: 136 * MEBIBYTE,
  memoryBytes: 286 * MEBIBYTE,
};

export interface DoctorSeams {
  readonly host?: DoctorHost;
  /** Rejects with a sentence for the user when the configuration is bad. */
  readonly loadSettings?: () => Promise<DoctorSettings>;
  /** null: the attach modes aren't tried. */
  readonly probe?: ProbeAttachModes | null;
}

function thisHost(): DoctorHost {
  return { root: '', environment: process.env, kernelRelease: release(), architecture: arch() };
}

interface Settled {
  readonly settings: DoctorSettings;
  readonly checks: readonly Check[];
}

/** A bad configuration doesn't keep the other checks from being made. */
async function settle(seams: DoctorSeams): Promise<Settled> {
  if (seams.loadSettings === undefined) return { settings: SETTINGS_DEFAULT, checks: [] };
  try {
    return { settings: await seams.loadSettings(), checks: [] };
  } catch (error) {
    const cure = 'Correct it; fdspan check lists every error.';
    const check = problem('configuration', 'configuration', (error as Error).message, cure);
    return { settings: SETTINGS_DEFAULT, checks: [check] };
  }
}

async function runChecks(seams: DoctorSeams, isBackendTried: boolean): Promise<Check[]> {
  const host = seams.host ?? thisHost();
  const { settings, checks } = await settle(seams);
  return [
    ...checks,
    checkKernel(host),
    await checkBtf(host, settings.btfPath),
    await checkLockdown(host),
    await checkPrivileges(host),
    await checkMemlock(host, settings.mapBytes),
    await checkMemory(host, settings.memoryBytes),
    checkNode(process.versions.node),
    ...(await checkLibraries()),
    await checkAttachModes(seams.probe ?? null, settings.btfPath),
    ...(await checkScope(host)),
    ...(await checkRuntimes(host)),
    ...(isBackendTried ? [await checkBackend(settings.endpoint)] : []),
  ];
}

const MARKS: Readonly<Record<CheckStatus, string>> = {
  ok: 'ok     ',
  warning: 'warning',
  problem: 'PROBLEM',
};
const COLORS: Readonly<Record<CheckStatus, string>> = {
  ok: '\x1b[32m',
  warning: '\x1b[33m',
  problem: '\x1b[31m',
};
const COLOR_END = '\x1b[0m';
const NAME_COLUMNS = 15;

function verdict(checks: readonly Check[]): string {
  const problems = checks.filter(({ status }) => status === 'problem').length;
  const warnings = checks.filter(({ status }) => status === 'warning').length;
  if (problems > 0) return `This host is not fit for fdspan: ${problems} to cure.`;
  return warnings > 0
    ? `This host is fit for fdspan, with warnings (${warnings}).`
    : 'This host is fit for fdspan.';
}

function report(checks: readonly Check[], hasColors: boolean): string {
  let text = '';
  for (const { status, name, detail, cure } of checks) {
    const mark = hasColors ? `${COLORS[status]}${MARKS[status]}${COLOR_END}` : MARKS[status];
    text += `${mark}  ${name.padEnd(NAME_COLUMNS)} ${escapeControls(detail)}\n`;
    if (cure !== null) text += `${' '.repeat(MARKS.ok.length + 2 + NAME_COLUMNS)} → ${cure}\n`;
  }
  return `${text}\n${verdict(checks)}\n`;
}

/** Runs the command and returns its exit code: 0, 1 with warnings, 64, 69, 77 or 78. */
export async function doctor(
  args: readonly string[],
  io: CommandStreams,
  seams: DoctorSeams = {},
): Promise<number> {
  let values: { json?: boolean; connect?: boolean };
  try {
    const options = { json: { type: 'boolean' }, connect: { type: 'boolean' } } as const;
    ({ values } = parseArgs({ args: [...args], options, allowPositionals: false }));
  } catch (error) {
    io.stderr.write(`fdspan doctor: ${escapeControls((error as Error).message)}\n`);
    return EXIT_USAGE;
  }
  const checks = await runChecks(seams, values.connect ?? false);
  const exitCode = exitCodeOfChecks(checks);
  if (values.json) {
    io.stdout.write(`${escapeJsonControls(JSON.stringify({ exit_code: exitCode, checks }, null, 2))}\n`);
  } else {
    const isTerminal = (io.stdout as { isTTY?: boolean }).isTTY === true;
    io.stdout.write(report(checks, isTerminal && (process.env.NO_COLOR ?? '') === ''));
  }
  return exitCode;
}
