/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Sampling: decided once, at open, by the randomness of the open's slice, so that a trace is whole or absent. The
 * threshold of the decision is in the record. A class that only the end of a pair tells (held, slow) is tracked all the
 * same, marked, and dropped at its end.
 */
#ifndef FDSPAN_SAMPLING_BPF_H
#define FDSPAN_SAMPLING_BPF_H

#include "filter.bpf.h"
#include "policy.bpf.h"
#include "slices.bpf.h"

#define CUT_SLICES 4096 /* 32 KiB; where two meet, the earlier one is forgotten */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct sampling);
} sampling SEC(".maps");

/* By container slot; slot 0 is the host's, and that of opens whose container isn't judged yet. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4097);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct slot_sampling);
} slot_samplings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4097 * SAMPLING_STRIPES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct slot_offers);
} slot_offers SEC(".maps");

/* Slices that lost an open by something else than chance: no place in the table or the ring. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CUT_SLICES);
	__type(key, u32);
	__type(value, u64);
} cut_slices SEC(".maps");

static bool is_any_slice_cut;

/* Global functions, here and below, as the verifier goes through one only once. */
__noinline int cut_slice(u64 execution, u64 begun_boot_ns, u32 random)
{
	u32 index = random & (CUT_SLICES - 1);
	u64 *cut = bpf_map_lookup_elem(&cut_slices, &index);

	if (cut)
		*cut = execution ^ begun_boot_ns;
	is_any_slice_cut = true;
	return 0;
}

__noinline int find_cut_slice(u64 execution, u64 begun_boot_ns, u32 random)
{
	u32 index = random & (CUT_SLICES - 1);
	u64 *cut = bpf_map_lookup_elem(&cut_slices, &index);

	return cut && *cut == (execution ^ begun_boot_ns);
}

static __always_inline bool is_slice_cut(u64 execution, u64 begun_boot_ns, u32 random)
{
	return is_any_slice_cut && find_cut_slice(execution, begun_boot_ns, random);
}

static __always_inline struct sampling *sampling_now(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&sampling, &zero);
}

/* The number of the lowest bit that is set. BPF has no instruction for it. */
static __always_inline u32 lowest_bit(u32 mask)
{
	u32 bit = 0;

	if (!(mask & 0xffff))
		bit += 16;
	if (!(mask >> bit & 0xff))
		bit += 8;
	if (!(mask >> bit & 0xf))
		bit += 4;
	if (!(mask >> bit & 0x3))
		bit += 2;
	if (!(mask >> bit & 0x1))
		bit += 1;
	return bit & (SAMPLING_RULES_MAX - 1);
}

/* What the first rule that agrees says, or the ratio; src/model/sampling-words.ts has the same function. */
static __always_inline u32 rule_threshold(const struct sampling_rules *rules, u32 container_rules,
					  u32 open_flags, u32 named_rules)
{
	u32 matching = container_rules & rules->by_access[open_flags & O_ACCMODE] & named_rules;

	return matching ? rules->thresholds[lowest_bit(matching)] : rules->base;
}

static __always_inline struct slot_offers *offers_of(u32 slot)
{
	u32 index = slot * SAMPLING_STRIPES + (bpf_get_smp_processor_id() & (SAMPLING_STRIPES - 1));

	return bpf_map_lookup_elem(&slot_offers, &index);
}

static __always_inline void count_offer(u32 slot, u32 threshold)
{
	struct slot_offers *offers = offers_of(slot);

	if (!offers)
		return;
	__sync_fetch_and_add(&offers->opens, 1);
	if (threshold != SAMPLING_NEVER)
		__sync_fetch_and_add(&offers->weight, SAMPLING_WEIGHT - (threshold >> 16));
}

/* Rules whose globs agree, or that have none. */
static __always_inline u32 named_rules(const struct sampling_rules *rules, u32 path_rules,
				       u32 name_rules)
{
	return (path_rules | ~rules->by_path) & (name_rules | ~rules->by_process);
}

/*
 * The threshold of an open; with PAIR_UNJUDGED, by which user space finds it: the rules that its names agree with, of
 * those whose number PAIR_RULES holds.
 */
static __always_inline u32 threshold_at_open(const struct sampling *how, struct opening *opening,
					     u32 half, u32 named)
{
	struct slot_sampling *slot;
	u32 index = opening->verdict >> VERDICT_SLOT_SHIFT;
	u32 threshold;

	if (without_slot(opening->verdict) != VERDICT_TRACE) {
		opening->flags |= PAIR_UNJUDGED | (half << PAIR_RULES_SHIFT & PAIR_RULES);
		if (how->is_counted)
			count_offer(0, 0);
		return named;
	}
	slot = bpf_map_lookup_elem(&slot_samplings, &index);
	if (!slot)
		return 0;
	threshold = rule_threshold(&how->rules[half & 1],
				   half & 1 ? slot->rules[1] : slot->rules[0], opening->open_flags,
				   named);
	if (how->is_counted)
		count_offer(index, threshold);
	if (threshold < slot->threshold)
		threshold = slot->threshold;
	if (threshold < how->host_threshold)
		threshold = how->host_threshold;
	return threshold;
}

__noinline int draw_open(struct opening *opening, u32 half, u32 path_rules, u32 name_rules)
{
	struct sampling *how = sampling_now();
	bool has_failed;

	if (!how || !opening)
		return true;
	has_failed = opening->fd < 0;
	if (has_failed && how->keep & KEEP_FAILED)
		return true;
	opening->threshold = threshold_at_open(
		how, opening, half, named_rules(&how->rules[half & 1], path_rules, name_rules));
	if (opening->flags & PAIR_UNJUDGED ||
	    (opening->threshold != SAMPLING_NEVER && opening->random >= opening->threshold))
		return true;
	if (has_failed || !how->is_tracked)
		return false;
	opening->flags |= PAIR_UNSAMPLED;
	return true;
}

/*
 * Which rules are in force. Read before the globs are asked, which user space changes first: rules that are read as the
 * new ones then have the new globs. An open that meets a reload between the two may be matched by the new globs and drawn by
 * the old rules; the threshold in its record is the one that it was drawn by.
 */
static __always_inline u32 sampling_half(void)
{
	struct sampling *how = sampling_now();

	return how ? *(volatile u32 *)&how->half : 0;
}

/* Whether an open is drawn before there is a record of it: nothing then needs one. */
static __always_inline bool is_drawn_early(void)
{
	struct sampling *how = sampling_now();

	return how && how->is_on && how->is_early;
}

/*
 * Decides an open: false when nothing of it is to be tracked. `opening` then has its threshold, and PAIR_UNSAMPLED when
 * it is tracked only for what its end tells.
 */
static __always_inline bool sample_open(struct opening *opening, u32 half, u32 path_rules,
					u32 name_rules)
{
	struct sampling *how = sampling_now();

	return !how || !how->is_on || draw_open(opening, half, path_rules, name_rules);
}

/* An open that will be a span. Not counted: those that user space decides, and those that no chance decides. */
__noinline int add_passed(u32 slot)
{
	struct slot_offers *offers = offers_of(slot);

	if (offers)
		__sync_fetch_and_add(&offers->passed, 1);
	return 0;
}

static __always_inline void count_passed(const struct opening *opening)
{
	struct sampling *how = sampling_now();

	if (!how || !how->is_counted || opening->flags & (PAIR_UNSAMPLED | PAIR_UNJUDGED))
		return;
	if (opening->fd < 0 && how->keep & KEEP_FAILED)
		return;
	add_passed(opening->verdict >> VERDICT_SLOT_SHIFT);
}

/*
 * Whether a pair is of a class that is kept, now that its end is known. Such a class is whole: its threshold is 0.
 * `is_held`: it was reported as held.
 */
static __always_inline bool is_kept_at_end(const struct sampling *how,
					   const struct pair_record *record, u64 now, bool is_held)
{
	return (how->keep & KEEP_HELD && is_held) ||
	       (how->keep & KEEP_SLOW && now - record->opened_boot_ns > how->slow_ns);
}

static __always_inline void stand_for_itself(struct pair_record *record)
{
	record->threshold = 0;
	record->flags &= ~(PAIR_UNSAMPLED | PAIR_UNJUDGED);
}

__noinline int judge_end(struct pair_record *record, u64 now, u32 is_held)
{
	struct sampling *how = sampling_now();

	if (!how || !record)
		return 0;
	if (!is_kept_at_end(how, record, now, is_held))
		return record->flags & PAIR_UNSAMPLED;
	if (record->flags & PAIR_UNSAMPLED)
		count_in_slice_of(record, SLICE_TRACKED);
	stand_for_itself(record);
	return 0;
}

/* Whether the end of a pair drops it. */
static __always_inline bool is_sampled_out_at_end(struct pair_record *record, u64 now, bool is_held)
{
	struct sampling *how = sampling_now();

	return how && (record->flags & PAIR_UNSAMPLED || how->keep & (KEEP_HELD | KEEP_SLOW)) &&
	       judge_end(record, now, is_held);
}

/* Whether a file that stays open is to be reported. */
static __always_inline bool is_report_sampled(const struct pair_record *record)
{
	struct sampling *how = sampling_now();

	return !(record->flags & PAIR_UNSAMPLED) || (how && how->keep & KEEP_HELD);
}

/* The report is of the kept class where there is one, else it is sampled as its pair is. */
static __always_inline void sample_report(struct pair_record *report)
{
	struct sampling *how = sampling_now();

	if (how && how->keep & KEEP_HELD)
		stand_for_itself(report);
	if (is_slice_cut(report->execution, report->slice_begun_boot_ns, report->random))
		report->flags |= PAIR_SLICE_CUT;
}

#endif
