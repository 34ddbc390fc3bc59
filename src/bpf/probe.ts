// Tries the attach modes for `doctor`: by loading the programs, as only the kernel knows what it takes.
import { BpfError } from './bpf-object.ts';
import { NOTHING_WANTED } from './live-filters.ts';
import type { TracerOptions } from './settings.ts';
import { Tracer } from './tracer.ts';

/** The smallest maps, and nothing in scope: what it takes to load the programs. */
export const LOAD_ONLY: TracerOptions = {
  reads: 'auto',
  btfPath: null,
  ringBytes: 4096,
  openFilesMax: 64,
  pidMax: 4096,
  isSelfTraced: false,
  hostMountNamespace: 0,
  hostPidNamespace: 0,
  filters: NOTHING_WANTED,
  scopeBy: 'cgroup',
  byCgroup2: true,
  cgroup1Controller: null,
  isHostTraced: false,
  isRuntimePhaseTraced: false,
  containersMax: 64,
  traceGroupBy: 'process',
  sliceNs: 15_000_000_000n,
  sliceOpensMax: 1000,
};

export interface AttachProbe {
  readonly mode: 'tracepoint' | 'fentry';
  readonly usable: boolean;
  readonly detail: string;
}

export type ProbeOptions = Pick<TracerOptions, 'btfPath' | 'reads'>;

const READS = {
  cast: 'memory by bpf_rdonly_cast',
  probe: 'memory by helper calls, some 1.7 times as dear',
};

/** Loads the programs with small maps, attaches them for a moment, in which they must see an open, and frees them. */
export async function probeAttachModes(options: ProbeOptions): Promise<readonly AttachProbe[]> {
  return [await probeTracepoint(options), { mode: 'fentry', usable: false, detail: "isn't built yet" }];
}

async function probeTracepoint(options: ProbeOptions): Promise<AttachProbe> {
  try {
    return { mode: 'tracepoint', usable: true, detail: await tryTracepoint(options) };
  } catch (error) {
    const isForbidden = error instanceof BpfError && error.isPermission;
    const cure = isForbidden ? '; run as root or with CAP_BPF and CAP_PERFMON' : '';
    return { mode: 'tracepoint', usable: false, detail: `${(error as Error).message}${cure}` };
  }
}

/** Returns what was found; throws when it doesn't work. Nothing is in scope, so that nothing is traced. */
async function tryTracepoint(options: ProbeOptions): Promise<string> {
  const tracer = await Tracer.open({ ...LOAD_ONLY, reads: options.reads, btfPath: options.btfPath });
  try {
    const steps = [...tracer.verifierSteps.values()].reduce((sum, count) => sum + count, 0);
    tracer.attachCalls();
    tracer.proveAttached();
    return (
      `the kernel takes the programs (${tracer.hooks.join(', ')}; ${READS[tracer.reads]}` +
      `${steps > 0 ? `; ${steps} steps of the verifier` : ''}) and they see an open and a close`
    );
  } finally {
    tracer.close();
  }
}
