// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Loaded alone and run once, before the tracer: its settings need what this finds. Takes the place of /proc/1/ns, which
 * only a process that may trace process 1 can read.
 */
#define FDSPAN_PROBE_READS
#include "reading.bpf.h"
#include "record.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Finds the namespaces of process 1 as the caller numbers processes; 0 where it is ending. */
SEC("syscall")
int find_host(struct host_namespaces *found)
{
	u64 pid = WORD(task_struct, bpf_get_current_task(), thread_pid);
	u64 level = READ(pid, pid, level) & 31;
	u64 upid = ADDRESS(pid, pid, numbers) + level * bpf_core_type_size(struct upid);
	u64 namespace = WORD(upid, upid, ns);
	u64 proxy = WORD(task_struct, WORD(pid_namespace, namespace, child_reaper), nsproxy);

	found->mnt = READ(mnt_namespace, WORD(nsproxy, proxy, mnt_ns), ns.inum);
	found->pid = READ(pid_namespace, namespace, ns.inum);
	return 0;
}
