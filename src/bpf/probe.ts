// Tries the attach modes for `doctor`: by loading the programs, as only the kernel knows what it takes.
import { BpfError } from './bpf-object.ts';
import { Tracer } from './tracer.ts';

export interface AttachProbe {
  readonly mode: 'tracepoint' | 'fentry';
  readonly usable: boolean;
  readonly detail: string;
}

/** Loads the programs with small maps and frees them again; nothing is attached. */
export async function probeAttachModes(options: {
  readonly btfPath: string | null;
}): Promise<readonly AttachProbe[]> {
  return [probeTracepoint(options.btfPath), { mode: 'fentry', usable: false, detail: "isn't built yet" }];
}

function probeTracepoint(btfPath: string | null): AttachProbe {
  try {
    const tracer = new Tracer({
      objectPath: new URL('../../bpf/build/fdspan.bpf.o', import.meta.url).pathname,
      btfPath,
      ringBytes: 4096,
      openFilesMax: 64,
      pidMax: 4096,
      selfPid: process.pid,
      hostMountNamespace: 0,
      failedErrnos: [],
      fileTypes: [],
      excludedMagics: [],
      byCgroup2: true,
      cgroup1Controller: null,
      isHostTraced: false,
      isRuntimePhaseTraced: false,
    });
    const detail = `the kernel takes the programs (${tracer.hooks.join(', ')})`;
    tracer.close();
    return { mode: 'tracepoint', usable: true, detail };
  } catch (error) {
    const cure = error instanceof BpfError && error.isPermission ? '; run as root or with CAP_BPF and CAP_PERFMON' : '';
    return { mode: 'tracepoint', usable: false, detail: `${(error as Error).message}${cure}` };
  }
}
