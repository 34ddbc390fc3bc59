// `fdspan doctor`: what this host can do, which attach mode and scope would be used, and the cure for each
// problem. Changes nothing on the host; only the attach probe loads programs, and takes them out again.
import { arch, release } from 'node:os';
import type { Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { loadConfig } from '../config/load.ts';
import { ConfigError, textOf } from '../config/problems.ts';
import type { Config } from '../config/config.ts';
import { escapeControls, escapeJsonControls } from '../telemetry/terminal-text.ts';
import {
  exitCodeOfChecks,
  ok,
  problem,
  type Check,
  type CheckStatus,
  type DoctorHost,
} from './doctor-check.ts';
import { checkBtf, checkKernel, checkLockdown, checkMemlock, checkMemory } from './doctor-kernel.ts';
import { checkAttachModes, checkLibraries, checkNode, type ProbeAttachModes } from './doctor-programs.ts';
import { checkBackend, type Backend } from './doctor-backend.ts';
import { checkFolders, type WrittenPlaces } from './doctor-folders.ts';
import { checkBpfPolicy, checkCapabilities, checkPrecedence, checkSeccomp } from './doctor-rights.ts';
import { checkRuntimes } from './doctor-runtimes.ts';
import { escapeLines } from './command-io.ts';
import { containerChecks, surveyContainers, type ContainerSurvey } from './doctor-containers.ts';
import { checkScope, scopeChoiceOf } from './doctor-scope.ts';
import { EXIT_USAGE } from './exit-codes.ts';
import { START_CHECKS } from './stage-checks.ts';

const OPTIONS = {
  json: { type: 'boolean' },
  connect: { type: 'boolean' },
  config: { type: 'string' },
  set: { type: 'string', multiple: true },
} as const;

export interface DoctorIo {
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable;
  readonly env: NodeJS.ProcessEnv;
}

/** What of the configuration the checks depend on. */
export interface DoctorSettings {
  readonly btfPath: string | null;
  readonly reads: Config['kernel']['reads'];
  readonly backend: Backend;
  readonly scope: Config['scope'];
  readonly places: WrittenPlaces;
  /** Of the pending table and the ring together. */
  readonly mapBytes: number;
  /** Of the whole process under load, maps included. */
  readonly memoryBytes: number;
}

const MEBIBYTE = 1 << 20;

/** A pending open with its path, in the kernel's tables. */
const OPEN_FILE_BYTES = 384;

/** What Node, the pump and its buffers take besides maps and queue. */
const PROCESS_BYTES = 150 * MEBIBYTE;

export interface DoctorSeams {
  readonly host?: DoctorHost;
  /** null: the attach modes aren't tried. */
  readonly probe?: ProbeAttachModes | null;
}

function thisHost(env: NodeJS.ProcessEnv): DoctorHost {
  return { root: '', environment: env, kernelRelease: release(), architecture: arch() };
}

function settingsOf(config: Config): DoctorSettings {
  const mapBytes = config.limits.openFiles * OPEN_FILE_BYTES + config.limits.ring;
  return {
    btfPath: config.kernel.btf,
    reads: config.kernel.reads,
    backend: config.export,
    scope: config.scope,
    places: { ...config.control, spool: config.export.spool },
    mapBytes,
    memoryBytes: mapBytes + config.export.queue.bytesMax + PROCESS_BYTES,
  };
}

interface Arguments {
  readonly config?: string | undefined;
  readonly set?: readonly string[] | undefined;
  readonly connect?: boolean | undefined;
}

/** A bad configuration doesn't keep the other checks from being made: they use the defaults. */
function settle(
  { config: file, set }: Arguments,
  env: NodeJS.ProcessEnv,
): { settings: DoctorSettings; checks: Check[] } {
  try {
    const { config } = loadConfig({ file, sets: set ?? [], env }, START_CHECKS);
    return { settings: settingsOf(config), checks: [ok('configuration', file ?? 'without errors')] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const cure = 'Correct it; fdspan check lists every error.';
    const check = problem('configuration', 'configuration', firstOf(error), cure);
    return { settings: settingsOf(loadConfig({ sets: [], env: {} }).config), checks: [check] };
  }
}

function firstOf({ problems }: ConfigError): string {
  const first = textOf(problems[0]);
  return problems.length === 1 ? first : `${first}; and ${problems.length - 1} more`;
}

/** The probe is loaded here, since it needs libbpf, which the report may find missing. */
async function loadProbe(): Promise<ProbeAttachModes | null> {
  try {
    const file = new URL(`../bpf/probe${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);
    return ((await import(file.href)) as { probeAttachModes: ProbeAttachModes }).probeAttachModes;
  } catch {
    return null;
  }
}

/** The clock is asked natively: loaded late as the probe is. */
async function clockChecks(host: DoctorHost): Promise<Check[]> {
  try {
    const { checkClocks, isClockSynchronized } = await import('./doctor-clock.ts');
    return await checkClocks(host, Date.now(), isClockSynchronized());
  } catch {
    return [];
  }
}

interface Found {
  readonly checks: readonly Check[];
  /** null where no scope can be chosen. */
  readonly survey: ContainerSurvey | null;
}

async function runChecks(seams: DoctorSeams, values: Arguments, env: NodeJS.ProcessEnv): Promise<Found> {
  const host = seams.host ?? thisHost(env);
  const { settings, checks } = settle(values, env);
  const probe = seams.probe === undefined ? await loadProbe() : seams.probe;
  const choice = await scopeChoiceOf(host, settings.scope);
  const survey = choice === null ? null : await surveyContainers(host, choice);
  const all = [
    ...checks,
    checkKernel(host),
    await checkBtf(host, settings.btfPath),
    await checkLockdown(host),
    ...(await checkCapabilities(host)),
    ...(await checkBpfPolicy(host)),
    await checkSeccomp(host),
    await checkPrecedence(host),
    await checkMemlock(host, settings.mapBytes),
    await checkMemory(host, settings.memoryBytes),
    checkNode(process.versions.node),
    ...(await checkLibraries()),
    ...(await clockChecks(host)),
    ...(await checkFolders(host, settings.places)),
    await checkAttachModes(probe, settings),
    ...(await checkScope(host, settings.scope)),
    ...(await checkRuntimes(host)),
    ...(survey === null ? [] : containerChecks(survey)),
    ...(await checkBackend(settings.backend, host.environment, values.connect === true)),
  ];
  return { checks: all, survey };
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
  io: DoctorIo,
  seams: DoctorSeams = {},
): Promise<number> {
  let values: Arguments & { readonly json?: boolean };
  try {
    ({ values } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: false }));
  } catch (error) {
    io.stderr.write(`fdspan doctor: ${escapeLines((error as Error).message)}\n`);
    return EXIT_USAGE;
  }
  const { checks, survey } = await runChecks(seams, values, io.env);
  const exitCode = exitCodeOfChecks(checks);
  if (values.json) {
    io.stdout.write(
      `${escapeJsonControls(JSON.stringify({ exit_code: exitCode, checks, containers: survey?.runtimes ?? [] }))}\n`,
    );
  } else {
    const hasColors = io.stdout.isTTY === true && (io.env.NO_COLOR ?? '') === '';
    io.stdout.write(report(checks, hasColors));
  }
  return exitCode;
}
