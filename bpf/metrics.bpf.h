/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What each container opened, in numbers: counted behind the filters and before sampling, in an array that user space
 * reads in place. The entry is found by the container's policy at the moment of counting, never by one noted before: a
 * slot that another container has by now isn't touched. A container without a verdict has an entry in a table of its
 * own, from which user space adds once it has judged it.
 */
#ifndef FDSPAN_METRICS_BPF_H
#define FDSPAN_METRICS_BPF_H

#include "filter.bpf.h"
#include "pending.bpf.h"
#include "scope.bpf.h"
#include "slices.bpf.h"

/* User space sets it before load. A section of its own: what isn't counted is no code for the kernel. */
const volatile struct metrics_settings metrics SEC(".rodata.metrics") = {};

static const struct container_metrics no_metrics;

/* By slot and stripe: processors that share a stripe share its cache lines. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct container_metrics);
} container_metrics SEC(".maps");

/* By scope. Groups wait for their verdict for milliseconds; one that finds it full is counted as metrics_missed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EARLY_METRICS);
	__type(key, u64);
	__type(value, struct container_metrics);
} early_metrics SEC(".maps");

static __noinline struct container_metrics *early_metrics_of(u64 container)
{
	struct container_metrics *early = bpf_map_lookup_elem(&early_metrics, &container);

	if (!early) {
		bpf_map_update_elem(&early_metrics, &container, &no_metrics, BPF_NOEXIST);
		early = bpf_map_lookup_elem(&early_metrics, &container);
	}
	return early && !early->is_closed ? early : NULL;
}

/*
 * Closes an entry of early_metrics. A removed one is the next scope's at once, though a program may be about to count
 * there: user space removes it once none can be that found it open.
 */
SEC("syscall")
int close_early(struct close_arguments *arguments)
{
	u64 scope = arguments->scope;
	struct container_metrics *early = bpf_map_lookup_elem(&early_metrics, &scope);

	if (early)
		*(volatile u64 *)&early->is_closed = 1;
	return 0;
}

static __always_inline struct container_metrics *metrics_of_slot(u32 slot)
{
	u32 index = slot * metrics.stripes;

	index += bpf_get_smp_processor_id() & (metrics.stripes - 1);
	return bpf_map_lookup_elem(&container_metrics, &index);
}

/* The numbers of a container, 0 being the host; NULL when nothing is counted for it. */
static __always_inline struct container_metrics *metrics_of(u64 container)
{
	struct scope_policy *policy;
	struct container_metrics *found = NULL;
	u32 verdict;

	if (!container)
		return metrics_of_slot(0);
	policy = policy_of_scope(container);
	verdict = policy ? policy->verdict : 0;
	if (verdict >> VERDICT_SLOT_SHIFT)
		return metrics_of_slot(verdict >> VERDICT_SLOT_SHIFT);
	if (verdict == VERDICT_DENY || verdict == VERDICT_IGNORE)
		return NULL;
	if (verdict)
		found = early_metrics_of(container);
	if (!found)
		count(COUNTER_METRICS_MISSED);
	return found;
}

#define METRIC(field) (offsetof(struct container_metrics, field) / sizeof(u64))
#define METRICS	      (sizeof(struct container_metrics) / sizeof(u64))

/* Global, here and below: the verifier looks at it once, not at each of its calls. */
__noinline int count_metric(u64 container, u32 metric)
{
	u64 *found = (u64 *)metrics_of(container);

	if (found && metric < METRICS)
		__sync_fetch_and_add(&found[metric], 1);
	return 0;
}

/* An open that succeeded, of a file that is wanted. */
static __always_inline void count_opened(const struct opening *opening)
{
	if (metrics.is_on && !(opening->flags & PAIR_ADOPTED))
		count_metric(opening->container, METRIC(opens) + access_of(opening->open_flags));
}

/* An open that failed, whether it becomes a span or not. */
static __always_inline void count_failed(const struct opening *opening)
{
	u32 errno = -opening->fd;
	u32 class = 0;

	if (!metrics.is_on)
		return;
	if (errno < ERRNO_WORDS * 64)
		class = metrics.failure_classes[errno];
	count_metric(opening->container, METRIC(failures) + (class & (FAILURE_CLASSES - 1)));
}

/* The first bucket whose bound isn't exceeded, by four comparisons. */
static __always_inline u32 bucket_of_duration(u64 ns)
{
	u32 bucket = 0;

#pragma unroll
	for (u32 step = DURATION_BUCKETS / 2; step; step /= 2)
		if (ns > metrics.duration_bounds[(bucket + step - 1) & (DURATION_BUCKETS - 1)])
			bucket += step;
	return bucket & (DURATION_BUCKETS - 1);
}

__noinline int count_lasted(u64 container, u64 ns)
{
	struct container_metrics *found = metrics_of(container);

	if (!found)
		return 0;
	__sync_fetch_and_add(&found->durations[bucket_of_duration(ns)], 1);
	__sync_fetch_and_add(&found->duration_ns, ns);
	return 0;
}

/* Only true durations: adopted ones, and ends that nobody saw, aren't. */
static __always_inline void count_duration(const struct pair_record *record)
{
	if (!metrics.is_on || record->flags & PAIR_ADOPTED || record->reason == CLOSE_LOST ||
	    record->reason == CLOSE_STOP)
		return;
	count_lasted(record->scope, record->closed_boot_ns - record->opened_boot_ns);
}

static long count_open_file(u32 index, const struct buckets_arguments *arguments)
{
	struct container_metrics *metrics_found = NULL;
	struct scope_policy *policy;
	struct found found;
	u64 scope;

	if (!pending_at(arguments->first * BUCKET_TAGS + index, &found))
		return 0;
	scope = found.slot->record.scope;
	policy = policy_of_scope(scope);
	if (!scope)
		metrics_found = metrics_of_slot(0);
	else if (policy && policy->verdict >> VERDICT_SLOT_SHIFT)
		metrics_found = metrics_of_slot(policy->verdict >> VERDICT_SLOT_SHIFT);
	if (metrics_found)
		__sync_fetch_and_add(&metrics_found->files_met, 1);
	return 0;
}

/* Adds the files that are open now to files_met of their container: a portion of the table. */
SEC("syscall")
int count_open_files(struct buckets_arguments *arguments)
{
	struct buckets_arguments portion = *arguments;

	bpf_loop((portion.count & 0xfffff) * BUCKET_TAGS, count_open_file, &portion, 0);
	return 0;
}

#endif
