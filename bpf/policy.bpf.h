/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The policy of each scope, looked up at every open of the host: sets of five scopes in an array. A hash map's
 * look-up costs a call and a hash of its own; this is a multiplication and one or two cache lines.
 */
#ifndef FDSPAN_POLICY_BPF_H
#define FDSPAN_POLICY_BPF_H

#include "maps.bpf.h"

#define POLICY_ENTRIES 5
#define POLICY_SETS                                                                                \
	8192 /* 40,960 scopes; those that find no place are counted as scope_table_full */
#define POLICY_SHIFT   51 /* leaves the 13 bits of POLICY_SETS */
#define POLICY_FILLING ~0ULL

struct policy_entry {
	u64 scope; /* 0: free */
	struct scope_policy policy;
};

struct policy_set {
	struct policy_entry entries[POLICY_ENTRIES];
	u64 sent_on; /* scopes that found this set full and are in their second one */
};

_Static_assert(sizeof(struct policy_set) == 128, "two cache lines");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, POLICY_SETS);
	__uint(map_flags, BPF_F_MMAPABLE); /* only these start at a cache line */
	__type(key, u32);
	__type(value, struct policy_set);
} policy SEC(".maps");

static __always_inline u32 without_slot(u32 verdict)
{
	return verdict & ((1 << VERDICT_SLOT_SHIFT) - 1);
}

static __always_inline u32 verdict_of(const struct scope_policy *scope)
{
	return without_slot(scope->verdict);
}

static __always_inline struct policy_set *first_policy_set(u64 scope)
{
	u32 index = scope * 0x9e3779b97f4a7c15ULL >> POLICY_SHIFT;

	return bpf_map_lookup_elem(&policy, &index);
}

static __always_inline struct policy_set *second_policy_set(u64 scope)
{
	u32 index = scope * 0xc2b2ae3d27d4eb4fULL >> POLICY_SHIFT;

	return bpf_map_lookup_elem(&policy, &index);
}

static __always_inline struct policy_entry *entry_in(struct policy_set *set, u64 scope)
{
	if (!set)
		return NULL;
#pragma unroll
	for (int i = 0; i < POLICY_ENTRIES; i++)
		if (set->entries[i].scope == scope)
			return &set->entries[i];
	return NULL;
}

static __noinline struct scope_policy *policy_sent_on(u64 scope)
{
	struct policy_entry *entry = entry_in(second_policy_set(scope), scope);

	return entry ? &entry->policy : NULL;
}

static __always_inline struct scope_policy *policy_of_scope(u64 scope)
{
	struct policy_set *first = first_policy_set(scope);
	struct policy_entry *entry = entry_in(first, scope);

	if (entry)
		return &entry->policy;
	return first && first->sent_on ? policy_sent_on(scope) : NULL;
}

static __always_inline struct policy_entry *fill_policy_in(struct policy_set *set, u64 scope,
							   const struct scope_policy *given)
{
	if (!set)
		return NULL;
	for (int i = 0; i < POLICY_ENTRIES; i++) {
		struct policy_entry *entry = &set->entries[i];

		if (entry->scope || __sync_val_compare_and_swap(&entry->scope, 0, POLICY_FILLING))
			continue;
		entry->policy = *given;
		publish(&entry->scope, scope);
		return entry;
	}
	return NULL;
}

/* Every entry of it: two that were added at the same moment may both have stayed. */
static __always_inline bool free_policy_in(struct policy_set *set, u64 scope)
{
	bool is_freed = false;

	if (!set)
		return false;
	for (int i = 0; i < POLICY_ENTRIES; i++)
		if (set->entries[i].scope == scope &&
		    __sync_val_compare_and_swap(&set->entries[i].scope, scope, 0) == scope)
			is_freed = true;
	return is_freed;
}

/* Forgets a scope; nothing happens when it isn't there. */
static __always_inline void remove_policy(u64 scope)
{
	struct policy_set *first = first_policy_set(scope);

	free_policy_in(first, scope);
	if (first && first->sent_on && free_policy_in(second_policy_set(scope), scope))
		__sync_fetch_and_add(&first->sent_on, -1);
}

/*
 * Adds a scope that isn't there: false when both of its sets are full. The kernel's hook and user space may add
 * one at the same moment; whoever then finds the other's entry in front takes its own back. If both stay for all that,
 * the one in front counts, and both are freed together.
 */
static __always_inline bool add_policy(u64 scope, const struct scope_policy *given)
{
	struct policy_set *first = first_policy_set(scope);
	struct policy_entry *mine = fill_policy_in(first, scope, given);
	bool is_sent_on = !mine;

	if (!first)
		return false;
	if (is_sent_on) {
		/* Before the entry is there: a look-up that misses it here must look there. */
		__sync_fetch_and_add(&first->sent_on, 1);
		mine = fill_policy_in(second_policy_set(scope), scope, given);
	}
	if (mine && policy_of_scope(scope) == &mine->policy)
		return true;
	if (is_sent_on)
		__sync_fetch_and_add(&first->sent_on, -1);
	if (mine)
		__sync_val_compare_and_swap(&mine->scope, scope, 0);
	return mine != NULL;
}

#endif
