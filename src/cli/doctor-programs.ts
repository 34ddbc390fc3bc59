// What fdspan itself needs to run: Node, the native libraries, and the attach modes.
import { ok, problem, warning, type Check } from './doctor-check.ts';

export interface AttachModeFinding {
  readonly mode: 'tracepoint' | 'fentry';
  readonly usable: boolean;
  readonly detail: string;
}

export interface AttachOptions {
  readonly btfPath: string | null;
  readonly reads: 'auto' | 'cast' | 'probe';
}

/** Tries to load and attach one small program of each mode; null where it can't be tried. */
export type ProbeAttachModes = (options: AttachOptions) => Promise<readonly AttachModeFinding[]>;

const NODE_MAJOR_MIN = 22;
const NODE_MINOR_MIN = 18;

/** Tells whether Node is new enough (package.json's `engines`). */
export function checkNode(version: string): Check {
  const [major, minor] = version.split('.').map(Number);
  if (major > NODE_MAJOR_MIN || (major === NODE_MAJOR_MIN && minor >= NODE_MINOR_MIN))
    return ok('node', version);
  const cure = `Use Node ${NODE_MAJOR_MIN}.${NODE_MINOR_MIN} or newer; bin/fdspan finds the one that npm installed.`;
  return problem('node', 'configuration', version, cure);
}

/** Tells whether native functions can be called: koffi loads, and finds libbpf. */
export async function checkLibraries(): Promise<Check[]> {
  const cure = 'Run npm ci on this machine: the native part of koffi was built for another one.';
  try {
    const { default: koffi } = await import('koffi');
    const checks = [ok('koffi', koffi.version)];
    checks.push(libbpfCheck(koffi));
    return checks;
  } catch (error) {
    return [problem('koffi', 'configuration', `loading: ${(error as Error).message}`, cure)];
  }
}

function libbpfCheck(koffi: typeof import('koffi').default): Check {
  const name = 'libbpf';
  try {
    const library = koffi.load('libbpf.so.1');
    const version = library.func('const char *libbpf_version_string(void)')() as string;
    return ok(name, version);
  } catch (error) {
    const cure = 'Install libbpf 1.0 or newer (Debian: apt-get install libbpf1).';
    return problem(name, 'configuration', `libbpf.so.1: ${(error as Error).message}`, cure);
  }
}

/** Tells which attach modes work here, and which `attach: auto` would take. */
export async function checkAttachModes(
  probe: ProbeAttachModes | null,
  options: AttachOptions,
): Promise<Check> {
  const name = 'attach';
  if (probe === null)
    return warning(name, 'not tried: the probe is missing', 'Build fdspan, then run doctor again.');
  let findings: readonly AttachModeFinding[];
  try {
    findings = await probe(options);
  } catch (error) {
    return problem(name, 'kernel', `trying: ${(error as Error).message}`, 'Cure the problems above first.');
  }
  const detail = findings.map(
    ({ mode, usable, detail: why }) => `${mode} ${usable ? 'works' : 'does not work'} (${why})`,
  );
  const taken = (['fentry', 'tracepoint'] as const).find((mode) =>
    findings.some((it) => it.mode === mode && it.usable),
  );
  if (taken === undefined) {
    const cure = 'Cure the problems above first; a policy of the host may also refuse BPF programs.';
    return problem(name, 'kernel', detail.join('; '), cure);
  }
  return ok(name, `auto takes ${taken}: ${detail.join('; ')}`);
}
