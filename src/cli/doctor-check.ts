// One line of `fdspan doctor`: what was looked at, what was found, and what to do about it.

export type CheckStatus = 'ok' | 'warning' | 'problem';

/** Why a problem stops fdspan; becomes the exit code. */
export type ProblemKind = 'kernel' | 'permission' | 'configuration';

export interface Check {
  readonly name: string;
  readonly status: CheckStatus;
  readonly detail: string;
  /** One sentence; null when all is well. */
  readonly cure: string | null;
  readonly kind: ProblemKind | null;
}

/** What the checks look at. Tests give another root folder. */
export interface DoctorHost {
  /** Put before every absolute path; empty on a real host. */
  readonly root: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly kernelRelease: string;
  readonly architecture: string;
}

export function ok(name: string, detail: string): Check {
  return { name, status: 'ok', detail, cure: null, kind: null };
}

export function warning(name: string, detail: string, cure: string): Check {
  return { name, status: 'warning', detail, cure, kind: null };
}

export function problem(name: string, kind: ProblemKind, detail: string, cure: string): Check {
  return { name, status: 'problem', detail, cure, kind };
}

/** The exit codes of DESIGN section 4: what can't be helped by rights or settings comes last. */
const EXIT_CODES: readonly (readonly [ProblemKind, number])[] = [
  ['configuration', 78],
  ['permission', 77],
  ['kernel', 69],
];

/** Returns 0 when fit, 1 with warnings, else 78, 77 or 69: the first that the user can cure. */
export function exitCodeOfChecks(checks: readonly Check[]): number {
  for (const [kind, code] of EXIT_CODES) {
    if (checks.some((check) => check.status === 'problem' && check.kind === kind)) return code;
  }
  return checks.some(({ status }) => status === 'warning') ? 1 : 0;
}
