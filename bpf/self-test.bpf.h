/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Proves that the attached programs see calls: user space runs `self_test` before, between and after an open and a
 * close of its own. It makes no pair and moves no counter, and other calls pay nothing: the open is noted by the rule
 * for restarted calls, the close where a file turns out not to be pending.
 */
#ifndef FDSPAN_SELF_TEST_BPF_H
#define FDSPAN_SELF_TEST_BPF_H

#include "descriptors.bpf.h"
#include "syscalls.bpf.h"

#define NO_FILE ~0ULL

/* Not static: the compiler would take it apart, into variables with names that BTF doesn't allow. */
struct own_call {
	u64 file; /* whose close is waited for */
	u32 tid;
	u32 missed; /* enum self_test_missed */
} own_call = { .file = NO_FILE };

/* The file that is being closed isn't pending: it may be the self-test's. */
static __always_inline void note_own_close(u64 task, u64 file)
{
	/* The address alone would do only if it could not be another task's by now. */
	if (file == own_call.file && (u32)READ(task_struct, task, pid) == own_call.tid)
		own_call.missed &= ~MISSED_CLOSE_ENTER;
}

/* As if this thread's open had been told to restart: its entry clears `restart`, its exit `tid`. */
static __always_inline void await_open(u32 tid, struct call_start *start)
{
	start->container = UNTRACED;
	start->number = NR_OPENAT;
	start->restart = ERESTARTNOINTR; /* the one that signal_deliver leaves alone */
	start->tid = tid;
}

static __always_inline u32 missed_of_open(u32 tid, struct call_start *start)
{
	u32 missed = 0;

	/* Another thread's call may have taken the entry over: it can't be told then, and counts as seen. */
	if (start->restart == ERESTARTNOINTR)
		missed |= MISSED_OPEN_ENTER;
	if (start->tid == tid) {
		missed |= MISSED_OPEN_EXIT;
		start->tid = 0;
	}
	start->restart = 0;
	return missed;
}

/* Returns what was missed so far. The table counts as one with pending opens until the close: it is looked into then. */
SEC("syscall")
int self_test(struct self_test_arguments *arguments)
{
	u32 tid = bpf_get_current_pid_tgid();
	u64 files = WORD(task_struct, bpf_get_current_task(), files);
	u32 *pending = table_count(files);
	struct call_start *start = start_of(tid);

	if (!start || !pending)
		return MISSED_OPEN_ENTER | MISSED_OPEN_EXIT | MISSED_CLOSE_ENTER;
	switch (arguments->step) {
	case SELF_TEST_OPENS:
		await_open(tid, start);
		return 0;
	case SELF_TEST_CLOSES:
		own_call.missed = missed_of_open(tid, start) | MISSED_CLOSE_ENTER;
		own_call.tid = tid;
		own_call.file = file_at(files, arguments->fd);
		__sync_fetch_and_add(pending, 1);
		return 0;
	default:
		__sync_fetch_and_add(pending, -1);
		own_call.file = NO_FILE;
		return own_call.missed;
	}
}

#endif
