/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The table of pending opens: sets of 8 tags (struct file) in one cache line, the slot's index
 * being the tag's. Two hashes, the emptier set first: no insert fails up to 70 % load.
 * A tag's lowest bit marks a slot that is being filled or ended; one compare-and-swap sets it.
 */
#ifndef FDSPAN_PENDING_BPF_H
#define FDSPAN_PENDING_BPF_H

#include "maps.bpf.h"

#define TAG_BUSY      1ULL
#define NO_DESCRIPTOR 0xffffffffULL

struct found {
	u64 *tag;
	struct pending_open *slot;
};

static __always_inline u32 first_bucket_of(u64 file)
{
	return hash_address(file, 0x9e3779b97f4a7c15ULL) & settings.bucket_mask;
}

static __always_inline u32 second_bucket_of(u64 file)
{
	return hash_address(file, 0xc2b2ae3d27d4eb4fULL) & settings.bucket_mask;
}

static __always_inline struct pending_open *slot_of(u32 bucket, u32 tag)
{
	u32 index = bucket * BUCKET_TAGS + tag;

	return bpf_map_lookup_elem(&slots, &index);
}

static __always_inline bool find_in(u64 file, u32 number, struct found *found)
{
	struct bucket *bucket = bpf_map_lookup_elem(&buckets, &number);

	if (!bucket)
		return false;
#pragma unroll
	for (int i = 0; i < BUCKET_TAGS; i++) {
		if (bucket->tags[i] == file) {
			found->tag = &bucket->tags[i];
			found->slot = slot_of(number, i);
			return found->slot != NULL;
		}
	}
	return false;
}

static __always_inline bool find_pending(u64 file, struct found *found)
{
	return file && (find_in(file, first_bucket_of(file), found) ||
			find_in(file, second_bucket_of(file), found));
}

/* Without branches: eight of them would give the verifier 256 ways through. */
static __always_inline u32 used_tags(struct bucket *bucket)
{
	u32 used = 0;

#pragma unroll
	for (int i = 0; i < BUCKET_TAGS; i++) {
		u64 tag = bucket->tags[i];
		u64 negative = -tag;

		BARRIER(negative);
		used += (tag | negative) >> 63;
	}
	return used;
}

static __always_inline s32 take_in(u64 file, u32 number)
{
	struct bucket *bucket = bpf_map_lookup_elem(&buckets, &number);

	if (!bucket)
		return -1;
#pragma unroll
	for (int i = 0; i < BUCKET_TAGS; i++)
		if (!bucket->tags[i] &&
		    !__sync_val_compare_and_swap(&bucket->tags[i], 0, file | TAG_BUSY))
			return number * BUCKET_TAGS + i;
	return -1;
}

/* Takes a free slot for a file: its index, or -1 when both sets are full. */
__noinline int take_index(u64 file)
{
	u32 first = first_bucket_of(file), second = second_bucket_of(file);
	struct bucket *one = bpf_map_lookup_elem(&buckets, &first);
	struct bucket *other = bpf_map_lookup_elem(&buckets, &second);
	s32 index;

	if (!one || !other)
		return -1;
	if (used_tags(other) < used_tags(one)) {
		index = take_in(file, second);
		return index >= 0 ? index : take_in(file, first);
	}
	index = take_in(file, first);
	return index >= 0 ? index : take_in(file, second);
}

/* Takes a free slot; the caller fills it and publishes the tag. */
static __always_inline bool take_slot(u64 file, struct found *found)
{
	s32 index = take_index(file);
	u32 number = (u32)index / BUCKET_TAGS;
	struct bucket *bucket;

	if (index < 0)
		return false;
	bucket = bpf_map_lookup_elem(&buckets, &number);
	if (!bucket)
		return false;
	found->tag = &bucket->tags[index & (BUCKET_TAGS - 1)];
	found->slot = slot_of(number, index & (BUCKET_TAGS - 1));
	return found->slot != NULL;
}

/* Finds the pending open of a slot: its struct file; 0 when there is none, or it begins or ends just now. */
static __always_inline u64 pending_at(u32 index, struct found *found)
{
	u32 number = index / BUCKET_TAGS;
	struct bucket *bucket = bpf_map_lookup_elem(&buckets, &number);
	u64 file;

	if (!bucket)
		return 0;
	found->tag = &bucket->tags[index % BUCKET_TAGS];
	file = *found->tag;
	if (!file || file & TAG_BUSY)
		return 0;
	found->slot = bpf_map_lookup_elem(&slots, &index);
	return found->slot ? file : 0;
}

static __always_inline u64 owned(const struct pending_open *slot, s32 descriptor)
{
	return (u64)slot->generation << 32 | (u32)descriptor;
}

static __always_inline void own_only(struct pending_open *slot, s32 descriptor)
{
	slot->descriptors[0] = owned(slot, descriptor);
#pragma unroll
	for (int i = 1; i < OWNED_DESCRIPTORS; i++)
		slot->descriptors[i] = owned(slot, -1);
	slot->many = 0;
}

/* Adds a duplicate to the set. When all places are taken, the owner's table is searched later. */
static __always_inline void add_descriptor(struct pending_open *slot, s32 descriptor)
{
	u64 wanted = owned(slot, descriptor);
	u64 none = owned(slot, -1);

#pragma unroll
	for (int i = 0; i < OWNED_DESCRIPTORS; i++)
		if (slot->descriptors[i] == wanted)
			return;
#pragma unroll
	for (int i = 0; i < OWNED_DESCRIPTORS; i++)
		if (slot->descriptors[i] == none &&
		    __sync_val_compare_and_swap(&slot->descriptors[i], none, wanted) == none)
			return;
	slot->many = 1;
}

/*
 * Removes a descriptor from the set; true when it was there. The generation keeps a removal that
 * was begun on an ended pair from touching the slot's next one.
 */
static __always_inline bool remove_descriptor(struct pending_open *slot, u64 wanted, u64 none)
{
#pragma unroll
	for (int i = 0; i < OWNED_DESCRIPTORS; i++)
		if (slot->descriptors[i] == wanted &&
		    __sync_val_compare_and_swap(&slot->descriptors[i], wanted, none) == wanted)
			return true;
	return false;
}

static __always_inline bool owns_any(const struct pending_open *slot, u64 none)
{
#pragma unroll
	for (int i = 0; i < OWNED_DESCRIPTORS; i++)
		if (slot->descriptors[i] != none)
			return true;
	return false;
}

#endif
