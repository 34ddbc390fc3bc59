// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Programs that do nothing, on the hooks that fdspan's are on: the floor of what any tracer there costs. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define EMPTY(hook)                                                                                \
	SEC("tp_btf/" #hook) int hook(void *context)                                               \
	{                                                                                          \
		return 0;                                                                          \
	}

EMPTY(sys_enter)
EMPTY(sys_exit)
EMPTY(sched_process_exit)
EMPTY(sched_process_exec)
EMPTY(sched_prepare_exec)
EMPTY(signal_deliver)
EMPTY(cgroup_mkdir)
EMPTY(cgroup_rmdir)
EMPTY(io_uring_submit_req)
