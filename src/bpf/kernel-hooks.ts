// Which hooks this kernel has, by its BTF.
import { Btf, BTF_KIND_TYPEDEF } from './btf.ts';

/** Needed for any pair; a kernel without one of them can't be traced in tracepoint mode. */
const REQUIRED_HOOKS = ['sys_enter', 'sys_exit', 'sched_process_exit', 'sched_process_exec', 'signal_deliver'];
export const GROUP_HOOKS = ['cgroup_mkdir', 'cgroup_rmdir'];
/** sched_prepare_exec is from 6.10; io_uring may be compiled out. */
export const OPTIONAL_HOOKS = ['sched_prepare_exec', 'io_uring_submit_req'];
/** Describes a container at its first exec, and is the first that a namespace is met by. */
export const EXEC_HOOK = 'sched_process_exec';

/** A host that lacks what fdspan needs: exit code 69. */
export class KernelUnfitError extends Error {
  readonly code = 'KERNEL_UNFIT';
}

/** Opens the kernel's BTF, or a file in its place. Throws {@link KernelUnfitError}. */
export function openKernelBtf(path: string | null): Btf {
  try {
    return Btf.open(path);
  } catch (cause) {
    throw new KernelUnfitError(
      `${(cause as Error).message}; fdspan needs a kernel built with CONFIG_DEBUG_INFO_BTF` +
        (path === null ? '' : ', or kernel.btf set to a file that holds its BTF'),
      { cause },
    );
  }
}

/** Returns the hooks to attach. Throws {@link KernelUnfitError}, which names those that are missing. */
export function chooseHooks(kernel: Btf, groupHooks: readonly string[]): readonly string[] {
  const has = (hook: string): boolean => kernel.has(`btf_trace_${hook}`, BTF_KIND_TYPEDEF);
  const missing = [...REQUIRED_HOOKS, ...groupHooks].filter((hook) => !has(hook));
  if (missing.length > 0) {
    throw new KernelUnfitError(
      `the kernel's BTF has no tracepoint ${missing.join(', ')}; fdspan needs CONFIG_TRACEPOINTS, ` +
        'CONFIG_HAVE_SYSCALL_TRACEPOINTS and CONFIG_CGROUPS',
    );
  }
  return [...REQUIRED_HOOKS, ...OPTIONAL_HOOKS.filter(has)];
}
