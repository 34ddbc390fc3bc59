// Why a collector can't start: one place tells a refusal of the host from a bug, for every command that starts one.
import { BpfError } from '../bpf/bpf-object.ts';
import { LibbpfMissingError } from '../bpf/libbpf.ts';
import { ConfigError } from '../config/problems.ts';
import { EXIT_CONFIG, EXIT_NOT_PERMITTED, EXIT_UNAVAILABLE } from './exit-codes.ts';

export interface StartRefusal {
  /** What was tried, and what came of it. */
  readonly reason: string;
  readonly cure: string;
  readonly exitCode: number;
}

/** Codes of errors that the configuration, or a file that it names, is the reason of. */
const CONFIG_CODES = ['BAD_ENDPOINT', 'BAD_CREDENTIAL'];

/** Returns null for a bug. */
export function refusalOf(error: unknown): StartRefusal | null {
  if (!(error instanceof Error)) return null;
  const { message: reason, code } = error as Error & { code?: unknown };
  if (error instanceof ConfigError) {
    return { reason, cure: 'correct what is named', exitCode: EXIT_CONFIG };
  }
  if (CONFIG_CODES.includes(String(code))) {
    return { reason, cure: 'fdspan check tells more', exitCode: EXIT_CONFIG };
  }
  if (code === 'SPOOL_BUSY') {
    const cure = 'stop that one, or give this one an export.spool.dir of its own';
    return { reason, cure, exitCode: EXIT_CONFIG };
  }
  if (error instanceof BpfError && error.isPermission) {
    const cure =
      'run as root, or with the capabilities CAP_BPF, CAP_PERFMON, CAP_DAC_READ_SEARCH and CAP_DAC_OVERRIDE';
    return { reason, cure, exitCode: EXIT_NOT_PERMITTED };
  }
  const isUnfit = code === 'KERNEL_UNFIT' || error instanceof BpfError || error instanceof LibbpfMissingError;
  return isUnfit ? { reason, cure: 'fdspan doctor tells more', exitCode: EXIT_UNAVAILABLE } : null;
}
