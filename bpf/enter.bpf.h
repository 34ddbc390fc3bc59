/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Entries of system calls: an open is noted, a close ends its pair. */
#ifndef FDSPAN_ENTER_BPF_H
#define FDSPAN_ENTER_BPF_H

#include "self-test.bpf.h"
#include <bpf/bpf_tracing.h>

static __always_inline void enter_open(u64 task, u32 number)
{
	u32 tid = READ(task_struct, task, pid);
	struct call_start *start = start_of(tid);
	struct scope_policy *scope;

	if (!start)
		return;
	if (start->tid == tid && start->number == number && start->restart) {
		start->restart = 0; /* the first entry counts */
		return;
	}
	scope = policy_at_open(task);
	/* Also noted of the untraced: their exits then need not ask again. */
	start->container = scope ? scope->container : UNTRACED;
	start->number = number;
	start->restart = 0;
	start->tid = tid;
	if (scope) {
		start->verdict = scope->verdict;
		start->boot_ns = bpf_ktime_get_boot_ns();
	}
}

static __always_inline void enter_close(u64 task, u32 descriptor)
{
	u64 files = WORD(task_struct, task, files);
	u64 file;

	if (!table_has_pending(files))
		return;
	file = file_at(files, descriptor);
	if (!release(files, file, descriptor, CLOSE_CLOSE, 0))
		note_own_close(task, file);
}

/* Checks flags and range as __close_range() does. */
static __always_inline void enter_close_range(u64 task, u32 first, u32 last, u32 flags)
{
	struct table_walk walk = { .action = RELEASE_RANGE, .first = first, .last = last };

	if (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) || first > last)
		return;
	if (flags & CLOSE_RANGE_CLOEXEC)
		return;
	walk.files = WORD(task_struct, task, files);
	if (!table_has_pending(walk.files))
		return;
	if (flags & CLOSE_RANGE_UNSHARE && READ(files_struct, walk.files, count.counter) > 1)
		return;
	walk_table(&walk);
}

/* dup2 and dup3 close their target if they succeed: which file that is, is known only now. */
static __always_inline void enter_dup_over(u64 task, u32 number, u32 target)
{
	u64 files = WORD(task_struct, task, files);
	struct call_start *start;
	u32 tid;

	if (!table_has_pending(files))
		return;
	tid = READ(task_struct, task, pid);
	start = start_of(tid);
	if (!start)
		return;
	start->target = file_at(files, target);
	start->number = number;
	start->restart = 0;
	start->tid = tid;
}

static __always_inline void enter_compat(u64 task, u32 number)
{
	if (number != COMPAT_OPEN && number != COMPAT_CREAT && number != COMPAT_OPENAT &&
	    number != COMPAT_OPENAT2 && number != COMPAT_OPEN_BY_HANDLE_AT)
		return;
	if (traced_policy(task))
		count(COUNTER_UNSEEN_COMPAT);
}

SEC("tp_btf/sys_enter")
int BPF_PROG(sys_enter, struct pt_regs *regs, long id)
{
	u32 number = id;
	u64 task;

	switch (number) {
	case NR_CLOSE:
	case NR_OPENAT:
	case NR_OPEN:
	case NR_OPENAT2:
	case NR_CREAT:
	case NR_OPEN_BY_HANDLE_AT:
	case NR_CLOSE_RANGE:
	case NR_DUP2:
	case NR_DUP3:
	case COMPAT_OPEN:
	case COMPAT_CREAT:
	case COMPAT_OPENAT:
	case COMPAT_OPEN_BY_HANDLE_AT:
		break;
	default:
		return 0;
	}
	task = bpf_get_current_task();
	if (is_compat(task)) {
		enter_compat(task, number);
		return 0;
	}
	if (number == NR_CLOSE)
		enter_close(task, ARGUMENT_0(regs));
	else if (is_open_call(number))
		enter_open(task, number);
	else if (number == NR_DUP2 || number == NR_DUP3)
		enter_dup_over(task, number, ARGUMENT_1(regs));
	else if (number == NR_CLOSE_RANGE)
		enter_close_range(task, ARGUMENT_0(regs), ARGUMENT_1(regs), ARGUMENT_2(regs));
	return 0;
}

#endif
