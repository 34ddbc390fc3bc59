// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The programs of tracepoint mode, each named after its hook. "pid" and "tid" are user words here
 * as in record.h; the kernel's own are tgid and pid.
 */
#include "failed.bpf.h"
#include "syscalls.bpf.h"
#include "groups.bpf.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline struct call_start *start_of(u32 tid)
{
	u32 index = tid & settings.start_mask;

	return bpf_map_lookup_elem(&starts, &index);
}

static __always_inline void enter_open(u64 task, u32 number)
{
	struct scope_policy *scope = traced_policy(task);
	struct call_start *start;
	u32 tid;

	if (!scope || (u32)READ(task_struct, task, tgid) == settings.self_pid)
		return;
	if (!settings.runtime_phase && is_runtime_phase(task, scope))
		return;
	tid = READ(task_struct, task, pid);
	start = start_of(tid);
	if (!start)
		return;
	if (start->tid == tid && start->number == number && start->restart) {
		start->restart = 0; /* the first entry counts */
		return;
	}
	start->boot_ns = bpf_ktime_get_boot_ns();
	start->container = scope->container;
	start->number = number;
	start->restart = 0;
	start->tid = tid;
}

static __always_inline void enter_close(u64 task, u32 descriptor)
{
	u64 files = WORD(task_struct, task, files);
	u64 file;

	if (!table_has_pending(files))
		return;
	file = file_at(files, descriptor);
	release(files, file, descriptor, CLOSE_CLOSE, bpf_ktime_get_boot_ns());
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

static __always_inline u32 flags_of_call(struct pt_regs *regs, u32 number)
{
	struct open_how how = {};
	u64 flags;

	switch (number) {
	case NR_OPEN:
		return ARGUMENT_1(regs);
	case NR_CREAT:
		return 01101; /* O_CREAT | O_WRONLY | O_TRUNC */
	case NR_OPENAT2:
		bpf_probe_read_user(&how, sizeof(how), (void *)ARGUMENT_2(regs));
		flags = how.flags;
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

	if (!is_told_error(-opening->fd))
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
		opening.container = start->container;
		opening.opened_boot_ns = start->boot_ns;
		now = bpf_ktime_get_boot_ns();
		opening.duration_ns = now - start->boot_ns;
	} else {
		scope = traced_policy(task);
		if (!scope || (u32)READ(task_struct, task, tgid) == settings.self_pid)
			return;
		if (!settings.runtime_phase && is_runtime_phase(task, scope))
			return;
		opening.container = scope->container;
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
		release(files, target, result, CLOSE_DUP, bpf_ktime_get_boot_ns());
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

SEC("tp_btf/sched_process_exit")
int BPF_PROG(sched_process_exit, struct task_struct *exiting)
{
	u64 task = bpf_get_current_task();
	struct table_walk walk = { .last = ~0U };
	u64 files = WORD(task_struct, task, files);

	if (!files || !table_has_pending(files))
		return 0;
	walk.files = files;
	if (READ(files_struct, files, count.counter) == 1)
		walk.action = END_TABLE;
	else if (!READ(signal_struct, WORD(task_struct, task, signal), live.counter))
		walk.action = END_PROCESS;
	else
		return 0;
	walk.pid = READ(task_struct, task, tgid);
	walk_table(&walk);
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
	struct scope_policy *scope = traced_policy(task);

	if (scope)
		describe_scope(scope, task);
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

static __always_inline void visit_file(struct bpf_iter__task_file *context, bool adopt)
{
	struct task_struct *visited = context->task;
	struct file *visited_file = context->file;
	struct opening opening = { .flags = PAIR_ADOPTED };
	struct scope_policy *scope;
	struct found found;
	u32 zero = 0;
	u32 *epoch;

	if (!visited || !visited_file)
		return;
	opening.task = address_of(visited);
	opening.file = address_of(visited_file);
	opening.files = WORD(task_struct, opening.task, files);
	opening.fd = context->fd;
	if (find_pending(opening.file, &found)) {
		if (found.slot->files != opening.files)
			return;
		epoch = bpf_map_lookup_elem(&sweep_epoch, &zero);
		if (epoch)
			found.slot->epoch = *epoch;
		if (adopt)
			add_descriptor(found.slot, opening.fd);
		return;
	}
	if (!adopt || !is_wanted_file(opening.file))
		return;
	scope = traced_policy(opening.task);
	if (!scope || (u32)READ(task_struct, opening.task, tgid) == settings.self_pid)
		return;
	if (!settings.runtime_phase && is_runtime_phase(opening.task, scope))
		return;
	opening.container = scope->container;
	opening.opened_boot_ns = bpf_ktime_get_boot_ns();
	track(&opening, opening.opened_boot_ns);
}

/* Takes over what is open when fdspan starts. */
SEC("iter/task_file")
int adopt_files(struct bpf_iter__task_file *context)
{
	visit_file(context, true);
	return 0;
}

/* Marks the pending opens whose owner still has the file. */
SEC("iter/task_file")
int mark_files(struct bpf_iter__task_file *context)
{
	visit_file(context, false);
	return 0;
}

struct sweep {
	struct sweep_arguments *arguments;
	u64 now;
	u64 opened_until_boot_ns;
	u32 first_bucket;
	u32 reason;
	u32 epoch;
	u32 reserved;
};

static __always_inline void sweep_tag(struct sweep *sweep, struct bucket *bucket, u32 number,
				      u32 tag)
{
	u64 file = bucket->tags[tag & (BUCKET_TAGS - 1)];
	struct found found = { .tag = &bucket->tags[tag & (BUCKET_TAGS - 1)] };
	struct pair_record *record;

	if (!file || file & TAG_BUSY)
		return;
	found.slot = slot_of(number, tag);
	if (!found.slot)
		return;
	record = record_of(found.slot);
	if (!record || record->opened_boot_ns > sweep->opened_until_boot_ns)
		return;
	if (sweep->reason == CLOSE_LOST && found.slot->epoch == sweep->epoch)
		return;
	end_pair(file, &found, sweep->reason, sweep->now);
}

static long sweep_bucket(u32 index, struct sweep *sweep)
{
	u32 number = sweep->first_bucket + index / BUCKET_TAGS;
	struct bucket *bucket = bpf_map_lookup_elem(&buckets, &number);

	if (!bucket)
		return 1;
	sweep_tag(sweep, bucket, number, index % BUCKET_TAGS);
	return 0;
}

/* Ends pairs of a portion of the table: at stop, or those that a whole marking didn't see. */
SEC("syscall")
int sweep_pending(struct sweep_arguments *arguments)
{
	struct sweep sweep = {
		.now = bpf_ktime_get_boot_ns(),
		.opened_until_boot_ns = arguments->opened_until_boot_ns,
		.first_bucket = arguments->first_bucket,
		.reason = arguments->reason,
		.epoch = arguments->epoch,
	};

	bpf_loop((arguments->buckets & 0xfffff) * BUCKET_TAGS, sweep_bucket, &sweep, 0);
	return 0;
}
