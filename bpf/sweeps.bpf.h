/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Passes over all descriptors and over the table of pending opens, which user space starts. */
#ifndef FDSPAN_SWEEPS_BPF_H
#define FDSPAN_SWEEPS_BPF_H

#include "descriptors.bpf.h"

static __always_inline void visit_file(struct bpf_iter__task_file *context, bool adopt)
{
	struct task_struct *visited = context->task;
	struct file *visited_file = context->file;
	struct opening opening = { .flags = PAIR_ADOPTED };
	struct scope_policy *scope;
	struct found found;

	if (!visited || !visited_file)
		return;
	opening.task = address_of(visited);
	opening.file = address_of(visited_file);
	opening.files = WORD(task_struct, opening.task, files);
	opening.fd = context->fd;
	if (find_pending(opening.file, &found)) {
		if (found.slot->files != opening.files)
			return;
		found.slot->epoch = current_epoch();
		if (adopt)
			add_descriptor(found.slot, opening.fd);
		return;
	}
	if (!adopt || !is_wanted_file(opening.file))
		return;
	scope = policy_at_open(opening.task);
	if (!scope)
		return;
	opening.container = scope->container;
	opening.verdict = scope->verdict;
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

static long sweep_slot(u32 index, struct sweep *sweep)
{
	struct pair_record *record;
	struct found found;
	u64 file = pending_at(sweep->first_bucket * BUCKET_TAGS + index, &found);

	if (!file)
		return 0;
	record = record_of(found.slot);
	if (!record || record->opened_boot_ns > sweep->opened_until_boot_ns)
		return 0;
	if (sweep->reason == CLOSE_LOST && found.slot->epoch == sweep->epoch)
		return 0;
	end_pair(file, &found, sweep->reason, sweep->now);
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

	bpf_loop((arguments->buckets & 0xfffff) * BUCKET_TAGS, sweep_slot, &sweep, 0);
	return 0;
}

#endif
