/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Exits of system calls: what an open made and what a duplicate joins; opens that a signal ended. */
#ifndef FDSPAN_EXIT_BPF_H
#define FDSPAN_EXIT_BPF_H

#include "enter.bpf.h"
#include "failed.bpf.h"
#include "io-totals.bpf.h"

static __always_inline u32 flags_of_call(struct pt_regs *regs, u32 number)
{
	u64 flags = 0;

	switch (number) {
	case NR_OPEN:
		return ARGUMENT_1(regs);
	case NR_CREAT:
		return 01101; /* O_CREAT | O_WRONLY | O_TRUNC */
	case NR_OPENAT2:
		/* The first field of struct open_how. */
		bpf_probe_read_user(&flags, sizeof(flags), (void *)ARGUMENT_2(regs));
		/* Kept apart: clang 22 makes one load of all cases, the verifier takes one kind of pointer a load. */
		BARRIER(flags);
		return flags;
	default:
		return ARGUMENT_2(regs);
	}
}

static __always_inline void exit_failed(struct opening *opening, struct pt_regs *regs, u32 number,
					u64 now)
{
	s32 dirfd = AT_FDCWD;
	u64 path = ARGUMENT_0(regs);

	count_failed(opening);
	if (!is_told_error(-opening->fd, opening->open_flags))
		return;
	if (number == NR_OPENAT || number == NR_OPENAT2) {
		dirfd = ARGUMENT_0(regs);
		path = ARGUMENT_1(regs);
	} else if (number == NR_OPEN_BY_HANDLE_AT) {
		path = 0;
	}
	tell_failed(opening, dirfd, path, now);
}

static __always_inline void exit_opened(struct opening *opening, u64 now)
{
	struct found found;

	opening->file = file_at(opening->files, opening->fd);
	if (!opening->file) {
		count(COUNTER_UNSEEN_RACE);
		return;
	}
	if (!is_wanted_file(opening->file))
		return;
	track(opening, now);
	/* Another thread may have closed it before it was in the table. */
	if (file_at(opening->files, opening->fd) != opening->file &&
	    find_pending(opening->file, &found))
		end_pair(opening->file, &found, CLOSE_LOST, now);
}

static __always_inline void exit_open(u64 task, struct pt_regs *regs, u32 number, long result)
{
	u32 tid = READ(task_struct, task, pid);
	struct call_start *start = start_of(tid);
	struct opening opening = { .task = task, .fd = result };
	struct scope_policy *scope;
	u64 now;

	if (!start)
		return;
	if (start->tid == tid && start->number == number) {
		if (result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK) {
			start->restart = -result;
			return;
		}
		start->tid = 0;
		if (start->container == UNTRACED)
			return;
		opening.container = start->container;
		opening.verdict = start->verdict;
		opening.opened_boot_ns = start->boot_ns;
		now = bpf_ktime_get_boot_ns();
		opening.duration_ns = now - start->boot_ns;
	} else {
		scope = policy_at_open(task);
		if (!scope)
			return;
		opening.container = scope->container;
		opening.verdict = scope->verdict;
		now = bpf_ktime_get_boot_ns();
		opening.opened_boot_ns = now;
		opening.flags = PAIR_START_MISSED;
	}
	if (settings.runtime_phase) {
		scope = traced_policy(task);
		if (scope && is_runtime_phase(task, scope))
			opening.flags |= PAIR_RUNTIME_PHASE;
	}
	opening.files = WORD(task_struct, task, files);
	opening.open_flags = flags_of_call(regs, number);
	if (result < 0)
		exit_failed(&opening, regs, number, now);
	else
		exit_opened(&opening, now);
}

/* The new number joins the set of the file's pair, if this table owns it. */
static __always_inline void join(u64 files, u32 descriptor)
{
	struct found found;

	if (find_pending(file_at(files, descriptor), &found) && found.slot->files == files)
		add_descriptor(found.slot, descriptor);
}

static __always_inline void exit_dup_over(u64 task, struct pt_regs *regs, u32 number, long result)
{
	u32 tid = READ(task_struct, task, pid);
	struct call_start *start = start_of(tid);
	u64 files = WORD(task_struct, task, files);
	u64 target = 0;

	if (!start)
		return;
	if (start->tid == tid && start->number == number) {
		target = start->target;
		start->tid = 0;
	}
	if (result < 0 || (s32)ARGUMENT_0(regs) == (s32)result)
		return;
	/* The target's last reference goes when the call returns to user space: its address is still its own. */
	if (target)
		release(files, target, result, CLOSE_DUP, 0);
	join(files, result);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(sys_exit, struct pt_regs *regs, long result)
{
	u32 number = SYSCALL_NUMBER(regs);
	u64 task, files;

	switch (number) {
	case NR_OPENAT:
	case NR_OPEN:
	case NR_OPENAT2:
	case NR_CREAT:
	case NR_OPEN_BY_HANDLE_AT:
	case NR_DUP:
	case NR_DUP2:
	case NR_DUP3:
	case NR_FCNTL:
		break;
	default:
		if (has_io_totals)
			exit_io(regs, number, result);
		return 0;
	}
	task = bpf_get_current_task();
	if (is_compat(task))
		return 0;
	if (is_open_call(number)) {
		exit_open(task, regs, number, result);
		return 0;
	}
	files = WORD(task_struct, task, files);
	if (!table_has_pending(files))
		return 0;
	if (number == NR_DUP2 || number == NR_DUP3) {
		exit_dup_over(task, regs, number, result);
	} else if (result >= 0) {
		u32 command = ARGUMENT_1(regs);

		if (number == NR_DUP || command == F_DUPFD || command == F_DUPFD_CLOEXEC)
			join(files, result);
	}
	return 0;
}

/* An open that a handler interrupted and that isn't restarted: it failed with EINTR. */
static __always_inline void exit_interrupted(struct call_start *start)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	u64 now = bpf_ktime_get_boot_ns();
	struct opening opening = {
		.task = bpf_get_current_task(),
		.fd = -EINTR,
		.container = start->container,
		.verdict = start->verdict,
		.opened_boot_ns = start->boot_ns,
		.duration_ns = now - start->boot_ns,
	};
	u32 number = start->number;

	start->tid = 0;
	opening.files = WORD(task_struct, opening.task, files);
	opening.open_flags = flags_of_call(regs, number);
	exit_failed(&opening, regs, number, now);
}

/* Without SA_RESTART an interrupted open fails with EINTR: the next one is another call. */
SEC("tp_btf/signal_deliver")
int BPF_PROG(signal_deliver, int signal, void *info, struct k_sigaction *action)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct call_start *start = start_of(tid);

	if (!start || start->tid != tid || !start->restart)
		return 0;
	if (WORD(k_sigaction, action, sa.sa_handler) <= 1)
		return 0; /* default or ignored: no handler runs, the call restarts */
	if (start->restart == ERESTARTNOINTR)
		return 0;
	if (start->restart != ERESTARTSYS || !(WORD(k_sigaction, action, sa.sa_flags) & SA_RESTART))
		exit_interrupted(start);
	return 0;
}

#define IORING_OP_OPENAT  18
#define IORING_OP_OPENAT2 28

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(io_uring_submit_req, struct io_kiocb *request)
{
	u8 operation = READ(io_kiocb, request, opcode);

	if (operation != IORING_OP_OPENAT && operation != IORING_OP_OPENAT2)
		return 0;
	if (traced_policy(bpf_get_current_task()))
		count(COUNTER_UNSEEN_IO_URING);
	return 0;
}

#endif
