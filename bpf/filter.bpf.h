/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Which opens are left out before there is a record: by file, access, user, names and paths. What it asks lies in the
 * half of `filters` that is in force; user space writes the other half and turns to it by one store.
 */
#ifndef FDSPAN_FILTER_BPF_H
#define FDSPAN_FILTER_BPF_H

#include "pair.bpf.h"

#define O_ACCMODE 03
#define O_PATH	  010000000

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct filters);
} filters SEC(".maps");

static __always_inline struct filters *filters_of(u32 half)
{
	half &= 1;
	return bpf_map_lookup_elem(&filters, &half);
}

static __always_inline struct filters *filters_in_force(void)
{
	return filters_of(live.filter_half);
}

/* Files that no open made: they are no one's to trace, whatever types are asked for. */
#define PIPEFS_MAGIC	    0x50495045
#define SOCKFS_MAGIC	    0x534f434b
#define ANON_INODE_FS_MAGIC 0x09041934

/* As fdspan.access tells it. */
static __always_inline u32 access_of(u32 flags)
{
	return flags & O_PATH ? ACCESS_PATH : flags & O_ACCMODE;
}

static __always_inline bool is_wanted_access(const struct filters *filters, u32 flags)
{
	return filters->access >> access_of(flags) & 1;
}

static __always_inline bool is_wanted_file(u64 file)
{
	struct filters *filters = filters_in_force();
	u64 inode = WORD(file, file, f_inode);
	u64 magic = WORD(super_block, WORD(inode, inode, i_sb), s_magic);
	u32 type = (READ(inode, inode, i_mode) & S_IFMT) >> 12;

	if (!filters || !(filters->file_types >> type & 1))
		return false;
	if (!is_wanted_access(filters, READ(file, file, f_flags)))
		return false;
	if (magic == PIPEFS_MAGIC || magic == SOCKFS_MAGIC || magic == ANON_INODE_FS_MAGIC)
		return false;
	if (!(filters->magic_filter >> (magic * MAGIC_FACTOR >> 58) & 1))
		return true;
	for (u32 i = 0; i < EXCLUDED_MAGICS_MAX; i++) {
		if (i >= filters->excluded_magic_count)
			return true;
		if (filters->excluded_magics[i] == magic)
			return false;
	}
	return true;
}

/* Of a failed open only the call's flags tell the access. */
static __always_inline bool is_told_error(u32 error, u32 open_flags)
{
	struct filters *filters = filters_in_force();

	return filters && error < ERRNO_WORDS * 64 &&
	       filters->failed_errnos[error / 64] >> (error % 64) & 1 &&
	       is_wanted_access(filters, open_flags);
}

/* A global function: the verifier looks at its loop once. */
__noinline int is_in_user_ranges(u32 user)
{
	struct filters *filters = filters_in_force();

	if (!filters)
		return 0;
	for (u32 i = 0; i < USER_RANGES_MAX; i++) {
		if (i >= filters->user_range_count)
			return 0;
		if (user >= filters->users[i].first && user <= filters->users[i].last)
			return 1;
	}
	return 0;
}

static __always_inline bool is_unwanted_user(u64 task)
{
	struct filters *filters = filters_in_force();

	return filters && filters->user_range_count &&
	       !is_in_user_ranges(READ(cred, WORD(task_struct, task, cred), uid.val));
}

/* An open that a filter leaves out ends at once. */
static __always_inline void count_left_out(u32 counter)
{
	count(COUNTER_OPENS_TRACKED);
	count(COUNTER_PAIRS_FINISHED);
	count(counter);
}

/* A failed open held nothing, however short it was. */
static __always_inline bool is_too_short(const struct pair_record *record)
{
	u64 least = live.min_duration_ns;

	/* Of an adopted file, and of one that is open still, the time is a lower bound. */
	if (record->flags & PAIR_ADOPTED || record->reason == CLOSE_STOP)
		return false;
	return least && record->reason != CLOSE_FAILED &&
	       (s64)(record->closed_boot_ns - record->opened_boot_ns) < (s64)least;
}

static __always_inline u32 cell_at(const struct filters *filters, u32 at)
{
	BARRIER(at);
	if (at > sizeof(filters->cells) - sizeof(u32))
		return 0;
	return *(const u32 *)((const u8 *)filters->cells + at);
}

/*
 * One step of the automaton. The address of the cell in a row of 0 doesn't wait for the row: what follows the row's
 * load is one addition. Whoever built the table keeps every row inside it.
 */
#define GLOB_STEP(filters, row, byte)                                                              \
	({                                                                                         \
		const u8 *cell__ = (const u8 *)(filters)->cells +                                  \
				   ((filters)->classes[(u8)(byte)] & (GLOB_ROW_BYTES_MAX - 1));    \
                                                                                                   \
		BARRIER(cell__);                                                                   \
		BARRIER(row);                                                                      \
		/* Leaves at once: going on from another row would be another way to verify. */    \
		if ((row) > (GLOB_CELLS - 1) * sizeof(u32))                                        \
			return 0;                                                                  \
		*(const u32 *)(cell__ + (row));                                                    \
	})

/*
 * The automaton over bytes of a slot's tail, from a row: gives the row where they end. Eight at a time first, as each
 * end of the loop is another one to verify; byte by byte, as a word that was just written in parts would be waited for.
 */
__noinline int walk_short_globs(struct pending_open *slot, u32 half, u32 row, u32 from, u32 bytes)
{
	struct filters *filters = filters_of(half);
	u32 at = from, left = bytes;
	const u8 *text;

	if (!slot || !filters)
		return 0;
	for (u32 done = 0; done < SLOT_TAIL_BYTES; done += 8) {
		if (left < 8)
			break;
		BARRIER(at);
		if (at > SLOT_TAIL_BYTES - 8)
			return 0;
		text = slot->tail + at;
#pragma unroll
		for (u32 i = 0; i < 8; i++)
			row = GLOB_STEP(filters, row, text[i]);
		at += 8;
		left -= 8;
	}
	BARRIER(at);
	if (at > SLOT_TAIL_BYTES - 8)
		return row;
	text = slot->tail + at;
	for (u32 i = 0; i < 7; i++) {
		if (i >= left)
			break;
		row = GLOB_STEP(filters, row, text[i]);
	}
	return row;
}

struct glob_walk {
	struct long_record *far;
	struct filters *filters;
	u32 at;
	u32 end;
	u32 row;
	u32 reserved;
};

static long walk_glob_word(u32 index, struct glob_walk *walk)
{
	u32 at = walk->at, end = walk->end, row = walk->row;
	u64 word;

	BARRIER(at);
	if (at >= end || at > LONG_TAIL_BYTES - 8)
		return 1;
	word = word_at(walk->far->tail + at);
#pragma unroll
	for (u32 i = 0; i < 8; i++) {
		if (at + i >= end)
			break;
		row = GLOB_STEP(walk->filters, row, word >> (i * 8));
	}
	walk->row = row;
	walk->at = at + 8;
	return 0;
}

__noinline int walk_long_globs(struct long_record *far, u32 half, u32 row, u32 from, u32 bytes)
{
	struct glob_walk walk = {
		.far = far,
		.filters = filters_of(half),
		.at = from,
		.end = from + bytes,
		.row = row,
	};

	if (!far || !walk.filters)
		return 0;
	bpf_loop(LONG_TAIL_BYTES / 8, walk_glob_word, &walk, 0);
	return walk.row;
}

/* Rules of sampling that an open's two names agree with. */
struct glob_words {
	u32 path_rules;
	u32 name_rules;
};

/* The row where bytes of a tail end. */
static __always_inline u32 end_of_bytes(struct pending_open *slot, struct long_record *far,
					u32 half, u32 row, u32 from, u32 bytes)
{
	return far ? walk_long_globs(far, half, row, from, bytes)
		   : walk_short_globs(slot, half, row, from, bytes);
}

/*
 * Runs the globs over what was written of an open, which nobody else knows of yet. Gives the counter of what leaves it
 * out, or 0. Of a path whose head was cut, only globs that may begin anywhere can match. `flags`: enum pair_flag.
 */
static __always_inline u32 judge_names(struct pending_open *slot, struct glob_words *words,
				       u32 flags)
{
	u32 half = live.filter_half;
	struct filters *filters = filters_of(half);
	struct long_record *far;
	u32 asked, end;

	words->path_rules = words->name_rules = 0;
	asked = filters ? filters->asked : 0;
	if (!asked)
		return 0;
	far = long_record_of(slot->long_index);
	if (asked & ASKED_NAME) {
		end = end_of_bytes(slot, far, half, filters->name_row, 0,
				   slot->record.executable_bytes);
		words->name_rules = cell_at(filters, end + filters->rules_column);
		if (cell_at(filters, end + filters->accept_column) & ACCEPTS_NAME_EXCLUDE)
			return COUNTER_PROCESS_EXCLUDED;
	}
	if (asked & ASKED_PATH) {
		u32 row = flags & PAIR_PATH_TRUNCATED ? filters->cut_path_row : 0;
		u32 bytes = slot->record.path_bytes, accepts;

		/* The mark of an unlinked file is fdspan's own. */
		if (flags & PAIR_DELETED && bytes >= DELETED_SUFFIX_BYTES)
			bytes -= DELETED_SUFFIX_BYTES;
		end = end_of_bytes(slot, far, half, row, slot->record.executable_bytes, bytes);
		words->path_rules = cell_at(filters, end + filters->rules_column);
		accepts = cell_at(filters, end + filters->accept_column);
		if (accepts & ACCEPTS_PATH_EXCLUDE ||
		    (asked & ASKED_INCLUDE && !(accepts & ACCEPTS_PATH_INCLUDE)))
			return COUNTER_PATH_EXCLUDED;
	}
	return 0;
}

#endif
