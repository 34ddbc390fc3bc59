/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The life cycle of processes: what exit and exec close. */
#ifndef FDSPAN_PROCESSES_BPF_H
#define FDSPAN_PROCESSES_BPF_H

#include "descriptors.bpf.h"
#include "groups.bpf.h"

static __always_inline void end_on_exit(u64 task, u64 signal)
{
	struct table_walk walk = { .last = ~0U };
	u64 files = WORD(task_struct, task, files);

	if (!files || !table_has_pending(files))
		return;
	walk.files = files;
	if (READ(files_struct, files, count.counter) == 1)
		walk.action = END_TABLE;
	else if (!READ(signal_struct, signal, live.counter))
		walk.action = END_PROCESS;
	else
		return;
	walk.pid = READ(task_struct, task, tgid);
	walk_table(&walk);
}

#define SIGNAL_GROUP_EXIT 4

static __always_inline s32 exit_code_of(u64 task, u64 signal)
{
	if (READ(signal_struct, signal, flags) & SIGNAL_GROUP_EXIT)
		return READ(signal_struct, signal, group_exit_code);
	return READ(task_struct, WORD(task_struct, task, group_leader), exit_code);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(sched_process_exit, struct task_struct *exiting)
{
	u64 task = bpf_get_current_task();
	u64 signal = WORD(task_struct, task, signal);
	u32 tid = READ(task_struct, task, pid);
	struct call_start *start = start_of(tid);

	/* Killed in a call that was to be restarted: the next thread with this number must not take its start over. */
	if (start && start->tid == tid)
		start->tid = 0;
	end_on_exit(task, signal);
	if (!READ(signal_struct, signal, live.counter))
		end_slice_of(READ(task_struct, task, tgid), SLICE_EXIT, exit_code_of(task, signal));
	return 0;
}

/* The table is unshared and siblings die only after this: a table shared with others stays theirs. */
static __always_inline void end_on_exec(u64 task)
{
	struct table_walk walk = { .action = RELEASE_ON_EXEC, .last = ~0U };
	u64 files = WORD(task_struct, task, files);
	s32 threads = READ(signal_struct, WORD(task_struct, task, signal), nr_threads);

	if (!files || !table_has_pending(files))
		return;
	if (READ(files_struct, files, count.counter) > threads)
		return;
	walk.files = files;
	walk_table(&walk);
}

SEC("tp_btf/sched_prepare_exec")
int BPF_PROG(sched_prepare_exec, struct task_struct *executing)
{
	end_on_exec(bpf_get_current_task());
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(sched_process_exec, struct task_struct *executed)
{
	u64 task = bpf_get_current_task();
	struct scope_policy *scope = policy_of_task(task, true);

	end_slice_of(READ(task_struct, task, tgid), SLICE_EXEC, 0);
	if (scope)
		describe_scope(scope, task);
	return 0;
}

#endif
