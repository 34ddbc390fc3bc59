/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Files that are open now: listed, reported while they stay open, and recognized by the next fdspan. All of it reads
 * pending opens that may end meanwhile: a copy counts only if its slot still holds the same one after it. The tag is
 * never taken, as a close that came at that moment would be missed.
 */
#ifndef FDSPAN_HELD_BPF_H
#define FDSPAN_HELD_BPF_H

#include "track.bpf.h"

/* The record is where the names follow it at once, as in the ring. */
struct open_copy {
	struct open_file head;
	struct pair_record record;
	u8 tail[LONG_TAIL_BYTES];
	u32 taken;
	u32 reserved;
};

/* Too large for the stack. Another program of this CPU may come in between: whoever finds it taken comes again. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct open_copy);
} open_copies SEC(".maps");

/* Hashed into identities, so that the state file tells no addresses of the kernel. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} identity_key SEC(".maps");

struct restores {
	struct open_restore entries[RESTORES_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct restores);
} restores SEC(".maps");

static __always_inline struct open_copy *take_copy(void)
{
	u32 zero = 0;
	struct open_copy *copy = bpf_map_lookup_elem(&open_copies, &zero);

	return copy && !__sync_val_compare_and_swap(&copy->taken, 0, 1) ? copy : NULL;
}

/* Whether what was read of a slot is of this open. An atomic addition: no earlier read may be moved behind it. */
static __always_inline bool is_still(const struct found *found, u64 file, u32 generation)
{
	return __sync_fetch_and_add(found->tag, 0) == file && found->slot->generation == generation;
}

/* Copies a pending open with size and link of now; returns the bytes of record and names, 0 when it ended meanwhile. */
static __always_inline u64 copy_open(struct open_copy *copy, const struct found *found, u64 file)
{
	struct pending_open *slot = found->slot;
	u32 generation = slot->generation;
	struct pair_record *record = record_of(slot);
	u64 bytes;

	if (!record)
		return 0;
	bytes = sizeof(*record) + record->executable_bytes + record->path_bytes;
	BARRIER(bytes);
	if (bytes > sizeof(*record) + LONG_TAIL_BYTES - WRITE_SLACK_BYTES)
		return 0;
	if (bpf_probe_read_kernel(&copy->record, bytes, record))
		return 0;
	copy->head.generation = generation;
	copy->head.is_many = slot->many;
#pragma unroll
	for (int i = 0; i < OWNED_DESCRIPTORS; i++)
		copy->head.descriptors[i] = slot->descriptors[i];
	copy->record.size_bytes = WORD(inode, WORD(file, file, f_inode), i_size);
	copy->head.is_deleted = is_unlinked(WORD(file, file, f_path.dentry));
	return is_still(found, file, generation) ? bytes : 0;
}

/* Gives every pending open with its names. */
SEC("iter/bpf_map_elem")
int list_open_files(struct bpf_iter__bpf_map_elem *context)
{
	u32 *key = context->key;
	struct open_copy *copy;
	struct found found;
	u64 file, bytes;

	if (!key)
		return 0;
	file = pending_at(*key, &found);
	if (!file)
		return 0;
	copy = take_copy();
	if (!copy)
		return 1; /* this one again at the next read */
	bytes = copy_open(copy, &found, file);
	if (bytes) {
		bytes = (bytes + sizeof(copy->head) + 7) & ~7ULL;
		copy->head.length = bytes;
		BARRIER(bytes);
		if (bytes <= offsetof(struct open_copy, taken))
			bpf_seq_write(context->meta->seq, copy, bytes);
	}
	copy->taken = 0;
	return 0;
}

/* Not of the descriptor's number: duplicates change it, and the open file's address says more. */
static __always_inline u64 identity_of(u64 file, const struct pending_open *slot,
				       const struct pair_record *record)
{
	u32 zero = 0;
	u64 *key = bpf_map_lookup_elem(&identity_key, &zero);
	u64 where = hash_words(file, slot->files);
	u64 what = hash_words(record->inode, (u64)record->device << 32 | record->pid);

	return key ? hash_words(hash_words(where, *key), hash_words(what, ~*key)) : 0;
}

/* Gives what tells pending opens apart, and since when they are open. */
SEC("iter/bpf_map_elem")
int list_identities(struct bpf_iter__bpf_map_elem *context)
{
	struct open_identity given = {};
	u32 *key = context->key;
	struct pair_record *record;
	struct found found;
	u32 generation;
	u64 file;

	if (!key)
		return 0;
	given.index = *key;
	file = pending_at(given.index, &found);
	if (!file)
		return 0;
	generation = found.slot->generation;
	record = record_of(found.slot);
	if (!record)
		return 0;
	given.identity = identity_of(file, found.slot, record);
	given.opened_boot_ns = record->opened_boot_ns;
	given.reported_boot_ns = found.slot->reported_boot_ns;
	given.flags = record->flags;
	if (is_still(&found, file, generation))
		bpf_seq_write(context->meta->seq, &given, sizeof(given));
	return 0;
}

/* Its open isn't the one that was listed when the time of that has changed: the exchange then fails. */
static __always_inline bool restore_open(const struct open_restore *given)
{
	struct pair_record *record;
	struct found found;

	if (!pending_at(given->index, &found))
		return false;
	record = record_of(found.slot);
	if (!record || !(record->flags & PAIR_ADOPTED) ||
	    __sync_val_compare_and_swap(&record->opened_boot_ns, given->adopted_boot_ns,
					given->opened_boot_ns) != given->adopted_boot_ns)
		return false;
	__sync_val_compare_and_swap(&found.slot->reported_boot_ns, given->adopted_boot_ns,
				    given->reported_boot_ns);
	if (!given->is_adopted)
		record->flags &= ~PAIR_ADOPTED;
	return true;
}

struct restoring {
	u32 count;
	u32 restored;
};

static long restore_one(u32 index, struct restoring *restoring)
{
	u32 zero = 0;
	struct restores *given = bpf_map_lookup_elem(&restores, &zero);

	if (!given || index >= RESTORES_MAX)
		return 1;
	restoring->restored += restore_open(&given->entries[index]);
	return 0;
}

/* Gives adopted files the times that an earlier fdspan knew. */
SEC("syscall")
int restore_opens(struct restore_arguments *arguments)
{
	struct restoring restoring = { .count = arguments->count };

	bpf_loop(restoring.count, restore_one, &restoring, 0);
	arguments->restored = restoring.restored;
	return 0;
}

struct held_look {
	u64 now;
	u64 after_ns;
	u64 every_ns;
	u64 due_boot_ns;
	u32 first_bucket;
	u32 left; /* reports that may still be made */
	u32 next_bucket;
	u32 is_full;
};

static __always_inline void due_at(struct held_look *look, u64 boot_ns)
{
	if (boot_ns < look->due_boot_ns)
		look->due_boot_ns = boot_ns;
}

/* Sends a copy of the record, from the last report to now. A failure is made up for by a later look. */
static __always_inline void report(struct held_look *look, const struct found *found, u64 file,
				   u64 reported)
{
	struct open_copy *copy = take_copy();
	u64 bytes;

	if (!copy) {
		due_at(look, look->now);
		return;
	}
	bytes = copy_open(copy, found, file);
	if (bytes && bytes <= sizeof(copy->record) + LONG_TAIL_BYTES) {
		copy->record.reason = CLOSE_HELD;
		copy->record.open_duration_ns = look->now - copy->record.opened_boot_ns;
		copy->record.opened_boot_ns = reported;
		copy->record.closed_boot_ns = look->now;
		sample_report(&copy->record);
		if (send(&copy->record, bytes)) {
			count(COUNTER_HELD_RING_FULL);
			look->is_full = 1;
		} else {
			count(COUNTER_HELD_SPANS_SENT);
			look->left--;
			/* Of another open in this slot by now it differs. */
			__sync_val_compare_and_swap(&found->slot->reported_boot_ns, reported,
						    look->now);
			if (look->every_ns)
				due_at(look, look->now + look->every_ns);
		}
	}
	copy->taken = 0;
}

static long look_at_slot(u32 index, struct held_look *look)
{
	struct found found;
	struct pair_record *record;
	u64 file, reported, wait;

	look->next_bucket = look->first_bucket + index / BUCKET_TAGS;
	if (!look->left || look->is_full)
		return 1;
	file = pending_at(look->first_bucket * BUCKET_TAGS + index, &found);
	if (!file)
		return 0;
	record = record_of(found.slot);
	if (!record || !is_report_sampled(record))
		return 0;
	reported = found.slot->reported_boot_ns;
	wait = reported == record->opened_boot_ns ? look->after_ns : look->every_ns;
	if (!wait)
		return 0;
	if (reported + wait > look->now)
		due_at(look, reported + wait);
	else
		report(look, &found, file, reported);
	return 0;
}

/* Reports the files of a portion of the table that are due. */
SEC("syscall")
int report_held(struct held_arguments *arguments)
{
	struct held_look look = {
		.now = bpf_ktime_get_boot_ns(),
		.after_ns = arguments->after_ns,
		.every_ns = arguments->every_ns,
		.due_boot_ns = ~0ULL,
		.first_bucket = arguments->first_bucket,
		.left = arguments->reports_max,
	};
	u32 slots = (arguments->buckets & 0xfffff) * BUCKET_TAGS;

	if (bpf_loop(slots, look_at_slot, &look, 0) == slots && look.left && !look.is_full)
		look.next_bucket = arguments->first_bucket + arguments->buckets;
	arguments->next_bucket = look.next_bucket;
	arguments->due_boot_ns = look.due_boot_ns;
	arguments->is_full = look.is_full;
	return 0;
}

#endif
