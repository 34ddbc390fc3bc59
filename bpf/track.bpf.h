/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Begins and ends pairs: the only code that fills, publishes and frees a slot. */
#ifndef FDSPAN_TRACK_BPF_H
#define FDSPAN_TRACK_BPF_H

#include "filter.bpf.h"
#include "metrics.bpf.h"
#include "sampling.bpf.h"
#include "short-path.bpf.h"

static __always_inline struct pair_record *record_of(struct pending_open *slot)
{
	struct long_record *far = long_record_of(slot->long_index);

	if (!slot->long_index)
		return &slot->record;
	return (struct pair_record *)far;
}

static __always_inline void free_slot(u64 *tag, struct pending_open *slot)
{
	struct long_record *far = long_record_of(slot->long_index);

	slot->record.kind = 0; /* user space finds pending ones by their kind */
	if (far)
		far->taken = 0;
	/* After all other stores: the next owner may take the slot at once. */
	publish(tag, 0);
}

/* Sends the record from where it lies. The slot is this program's own. */
static __always_inline void send_pair(struct pending_open *slot)
{
	struct pair_record *record;
	u64 bytes;
	long error;

	count(COUNTER_PAIRS_FINISHED);
	if (slot->long_index) {
		struct long_record *found = long_record_of(slot->long_index);

		if (!found)
			return;
		record = &found->record;
		bytes = sizeof(*record) + record->executable_bytes + record->path_bytes;
		BARRIER(bytes);
		if (bytes > sizeof(*record) + LONG_TAIL_BYTES)
			return;
	} else {
		record = &slot->record;
		bytes = sizeof(*record) + record->executable_bytes + record->path_bytes;
		BARRIER(bytes);
		if (bytes > sizeof(*record) + SLOT_TAIL_BYTES)
			return;
	}
	if (is_too_short(record)) {
		count(COUNTER_TOO_SHORT);
		count_in_slice_of(record, SLICE_LEFT_OUT);
		return;
	}
	if (is_slice_cut(record->execution, record->slice_begun_boot_ns, record->random))
		record->flags |= PAIR_SLICE_CUT;
	error = send(record, bytes);
	count(error ? COUNTER_RING_FULL : COUNTER_RECORDS_SENT);
	if (error) {
		cut_slice(record->execution, record->slice_begun_boot_ns, record->random);
		count_in_slice_of(record, SLICE_DROPPED);
	}
}

/*
 * Sends a pair that has ended, unless sampling drops it now. A global function: the verifier looks at it once, not again for
 * each way to an end.
 */
__noinline int finish_pair(struct pending_open *slot, u64 now)
{
	struct pair_record *record;

	if (!slot)
		return 0;
	record = record_of(slot);
	if (record) {
		count_duration(record);
		if (is_sampled_out_at_end(record, now,
					  slot->reported_boot_ns != record->opened_boot_ns)) {
			count(COUNTER_PAIRS_FINISHED);
			count(COUNTER_UNSAMPLED_FINISHED);
			return 0;
		}
	}
	send_pair(slot);
	return 0;
}

/* Ends a pair once: the winner of the tag sends it. */
static __always_inline bool end_pair(u64 file, struct found *found, u32 reason, u64 now)
{
	struct pending_open *slot = found->slot;
	struct pair_record *record;
	u32 *pending;

	if (__sync_val_compare_and_swap(found->tag, file, file | TAG_BUSY) != file)
		return false;
	record = record_of(slot);
	if (record) {
		record->closed_boot_ns = now;
		record->reason = reason;
		if (reason != CLOSE_LOST)
			record->size_bytes = WORD(inode, WORD(file, file, f_inode), i_size);
	}
	if (reason == CLOSE_LOST)
		count(COUNTER_PAIRS_LOST);
	pending = table_count(slot->files);
	if (pending)
		__sync_fetch_and_add(pending, -1);
	finish_pair(slot, now);
	free_slot(found->tag, slot);
	return true;
}

/* The path again, when a rename was seen: what it finds is written, and marked if it changed once more. */
static __always_inline bool write_any_path(struct pending_open *slot, u32 *base, u32 *index)
{
	struct path_of *path = &long_walk_of(slot)->path;
	struct long_record *far = NULL;
	bool is_same = false;

	for (int i = 0; i < 2 && !is_same; i++) {
		u32 bytes;

		measure_path(slot);
		bytes = path->bytes;
		if (!*index && *base + bytes > SLOT_TAIL_BYTES - WRITE_SLACK_BYTES) {
			*index = i ? 0 : take_long(bpf_get_prandom_u32());
			far = long_record_of(*index);
			if (!far) {
				count(COUNTER_PATHS_SHORTENED);
				*base = *base > MADE_NAME_BASE_MAX ? MADE_NAME_BASE_MAX : *base;
				bytes = SLOT_TAIL_BYTES - WRITE_SLACK_BYTES - *base;
			}
		}
		slot->record.path_bytes = bytes;
		is_same = far ? write_long_path(slot, far, *base, bytes)
			      : write_short_path(slot, *base, bytes);
	}
	return is_same;
}

/*
 * Decides where the record will lie and writes executable and path. A path longer than the slot goes to a long buffer; when
 * none is free, its tail is kept here. Returns what is to be marked: enum pair_flag.
 */
__noinline int fill_any_names(struct pending_open *slot, u64 task, u64 file)
{
	struct executable executable;
	struct path_of *path;
	struct tail to = { .slot = slot };
	u32 index = 0, base, flags = 0;

	if (!slot)
		return 0;
	path = &long_walk_of(slot)->path;
	executable_of(&executable, task);
	path_of_file(path, task, file);
	base = executable.bytes;
	slot->long_index = 0;
	if (has_made_name(path)) {
		u32 made;

		base = base > MADE_NAME_BASE_MAX ? MADE_NAME_BASE_MAX : base;
		write_short_name(slot, 0, executable.name, base);
		made = write_made_name(slot, base, path->dentry, WORD(file, file, f_inode));
		slot->record.executable_bytes = base;
		slot->record.path_bytes = made;
		return made & MADE_NAME_CUT ? PAIR_PATH_TRUNCATED : 0;
	}
	if (!write_any_path(slot, &base, &index))
		flags |= PAIR_PATH_RENAMED;
	if (path->truncated)
		flags |= PAIR_PATH_TRUNCATED;
	if (path->suffix_bytes)
		flags |= PAIR_DELETED;
	slot->record.executable_bytes = base;
	slot->long_index = index;
	to.far = long_record_of(index);
	write_name(&to, 0, executable.name, base);
	return flags;
}

/* An address that is still in the table: its close was missed, or the iterator was here first. */
static __always_inline bool replace_existing(const struct opening *opening, u64 now)
{
	struct found existing;
	struct pair_record *record;

	if (!find_pending(opening->file, &existing))
		return false;
	record = record_of(existing.slot);
	if (record && record->flags & PAIR_ADOPTED &&
	    record->opened_boot_ns >= opening->opened_boot_ns &&
	    existing.slot->files == opening->files) {
		record->flags &= ~PAIR_ADOPTED;
		record->opened_boot_ns = opening->opened_boot_ns;
		existing.slot->reported_boot_ns = opening->opened_boot_ns;
		record->open_duration_ns = opening->duration_ns;
		return true;
	}
	end_pair(opening->file, &existing, CLOSE_LOST, now);
	return false;
}

static __always_inline void count_unsampled(u32 slice)
{
	count(COUNTER_UNSAMPLED);
	count_in_slice(slice, SLICE_UNSAMPLED, 0);
}

/* An open that has no place in the table. */
static __always_inline void count_no_place(const struct opening *opening, u32 slice)
{
	count(COUNTER_OPEN_TABLE_FULL);
	cut_slice(opening->execution, opening->slice_begun_boot_ns, opening->random);
	count_in_slice(slice, SLICE_DROPPED, 0);
}

/*
 * Whether an open whose names were written is left out, by a filter or by chance; it is counted. What is left out needs
 * no record. `slice` may be NO_SLICE.
 */
static __always_inline bool is_left_out(struct opening *opening, struct pending_open *slot,
					u32 slice, bool is_drawn, u32 flags)
{
	struct glob_words globs = {};
	u32 half = sampling_half();
	u32 drop = judge_names(slot, &globs, flags);

	if (drop) {
		count_left_out(drop);
		count_in_slice(slice, SLICE_LEFT_OUT, 0);
		return true;
	}
	if (opening->fd >= 0)
		count_opened(opening);
	if (!is_drawn && !sample_open(opening, half, globs.path_rules, globs.name_rules)) {
		count_unsampled(slice);
		return true;
	}
	count(COUNTER_OPENS_TRACKED);
	count_in_slice(slice, opening->flags & PAIR_UNSAMPLED ? SLICE_UNSAMPLED : SLICE_TRACKED,
		       slot->record.path_bytes);
	count_passed(opening);
	return false;
}

/* Puts the record where its names are. */
__noinline int move_record(struct pending_open *slot)
{
	struct long_record *far = slot ? long_record_of(slot->long_index) : NULL;

	if (slot && far)
		far->record = slot->record;
	return 0;
}

/* Tracks an open file. Counts it whatever becomes of it. A global function: the verifier looks at it once. */
__noinline int track(struct opening *opening, u64 now)
{
	struct found taken;
	struct pending_open *slot;
	u32 slice, flags = 0;
	bool is_drawn;
	u32 *pending;

	if (!opening)
		return 0;
	/* What the kernel made of the call's flags: whoever called may have changed its own since. */
	opening->open_flags = READ(file, opening->file, f_flags) |
			      (opening->open_flags & O_CALL_FLAGS);
	if (replace_existing(opening, now)) {
		count_opened(opening);
		return 0;
	}
	count(COUNTER_OPENS_IN_SCOPE);
	if (is_unwanted_user(opening->task)) {
		count_left_out(COUNTER_PROCESS_EXCLUDED);
		return 0;
	}
	slice = slice_at_open(opening);
	is_drawn = is_drawn_early();
	if (is_drawn && !sample_open(opening, sampling_half(), 0, 0)) {
		/* Its path isn't known: metrics hold also what a glob would have left out. */
		count_opened(opening);
		count_unsampled(slice);
		return 0;
	}
	if (!take_slot(opening->file, &taken)) {
		count_opened(opening);
		count_no_place(opening, slice);
		return 0;
	}
	slot = taken.slot;
	slot->generation++;
	slot->files = opening->files;
	/* Just seen in its table: a sweep that marks now must not take it for a lost one. */
	slot->epoch = current_epoch();
	slot->reported_boot_ns = opening->opened_boot_ns;
	own_only(slot, opening->fd);
	if (!fill_short_names(slot, opening->task, opening->file))
		flags = fill_any_names(slot, opening->task, opening->file);
	if (is_left_out(opening, slot, slice, is_drawn, flags)) {
		free_slot(taken.tag, slot);
		return 0;
	}
	opening->flags |= flags;
	begin_record(&slot->record, opening);
	fill_file(&slot->record, opening->file, opening->open_flags);
	if (slot->long_index)
		move_record(slot);
	pending = table_count(opening->files);
	if (pending)
		__sync_fetch_and_add(pending, 1);
	publish(taken.tag, opening->file);
	return 0;
}

#endif
