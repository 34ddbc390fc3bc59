/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Walks over descriptor tables: what a number stands for, and every number of a table. */
#ifndef FDSPAN_DESCRIPTORS_BPF_H
#define FDSPAN_DESCRIPTORS_BPF_H

#include "track.bpf.h"

#define TABLE_WORDS_MAX 16384 /* of 64 descriptors: the kernel's own limit, 1,048,576 */

static __always_inline u64 file_at(u64 files, u32 descriptor)
{
	u64 table = WORD(files_struct, files, fdt);

	if (descriptor >= READ(fdtable, table, max_fds))
		return 0;
	return read_word(WORD(fdtable, table, fd) + descriptor * sizeof(u64));
}

struct table_search {
	u64 files;
	u64 file;
	u32 except; /* the number that is being closed */
	u32 is_found;
	u64 word;
	u32 base;
	u32 reserved;
};

static long search_bit(u32 bit, struct table_search *search)
{
	u32 descriptor = search->base + bit;

	if (!(search->word >> bit))
		return 1;
	if (!(search->word >> bit & 1) || descriptor == search->except)
		return 0;
	if (file_at(search->files, descriptor) != search->file)
		return 0;
	search->is_found = 1;
	return 1;
}

static long search_word(u32 index, struct table_search *search)
{
	u64 table = WORD(files_struct, search->files, fdt);

	if (index * 64 >= READ(fdtable, table, max_fds))
		return 1;
	search->base = index * 64;
	search->word = read_word(WORD(fdtable, table, open_fds) + index * sizeof(u64));
	if (search->word)
		bpf_loop(64, search_bit, search, 0);
	return search->is_found ? 1 : 0;
}

/* Whether another number of the table stands for the file: for files with many duplicates. */
__noinline int is_elsewhere(u64 files, u64 file, u32 except)
{
	struct table_search search = { .files = files, .file = file, .except = except };

	bpf_loop(TABLE_WORDS_MAX, search_word, &search, 0);
	return search.is_found;
}

/*
 * The number no longer stands for the file. Ends the pair when it was the owner's last one. Returns false when no
 * open of the file is pending. `now` of 0: the time is asked for where a pair ends.
 */
static __always_inline bool release(u64 files, u64 file, u32 descriptor, u32 reason, u64 now)
{
	struct found found;
	u64 wanted, none;

	if (!find_pending(file, &found))
		return false;
	if (found.slot->files != files)
		return true;
	wanted = owned(found.slot, descriptor);
	none = owned(found.slot, -1);
	/* Read after the generation: the tag must still be this file's. */
	if (*found.tag != file)
		return true;
	if (!remove_descriptor(found.slot, wanted, none) && !found.slot->many)
		return true;
	if (owns_any(found.slot, none))
		return true;
	if (found.slot->many && is_elsewhere(files, file, descriptor))
		return true;
	end_pair(file, &found, reason, now ? now : bpf_ktime_get_boot_ns());
	return true;
}

enum table_action { RELEASE_RANGE, RELEASE_ON_EXEC, END_TABLE, END_PROCESS };

struct table_walk {
	u64 files;
	u64 word;
	u64 now;
	u32 base;
	u32 action; /* enum table_action */
	u32 first;  /* RELEASE_RANGE: inclusive */
	u32 last;
	u32 pid; /* END_PROCESS */
	u32 reserved;
};

static __always_inline void end_owned(const struct table_walk *walk, u64 file)
{
	struct found found;
	struct pair_record *record;

	if (!find_pending(file, &found) || found.slot->files != walk->files)
		return;
	if (walk->action == END_PROCESS) {
		record = record_of(found.slot);
		if (!record || record->pid != walk->pid)
			return;
	}
	end_pair(file, &found, CLOSE_EXIT, walk->now);
}

static long walk_bit(u32 bit, struct table_walk *walk)
{
	u32 descriptor = walk->base + bit;
	u64 file;

	if (!(walk->word >> bit))
		return 1;
	if (!(walk->word >> bit & 1))
		return 0;
	file = file_at(walk->files, descriptor);
	if (walk->action == RELEASE_RANGE) {
		if (descriptor >= walk->first && descriptor <= walk->last)
			release(walk->files, file, descriptor, CLOSE_RANGE, walk->now);
	} else if (walk->action == RELEASE_ON_EXEC) {
		release(walk->files, file, descriptor, CLOSE_EXEC, walk->now);
	} else {
		end_owned(walk, file);
	}
	return 0;
}

static long walk_word(u32 index, struct table_walk *walk)
{
	u64 table = WORD(files_struct, walk->files, fdt);

	index += walk->first / 64;
	if (index * 64 >= READ(fdtable, table, max_fds) || index * 64 > walk->last)
		return 1;
	walk->base = index * 64;
	walk->word = read_word(WORD(fdtable, table, open_fds) + index * sizeof(u64));
	if (walk->action == RELEASE_ON_EXEC)
		walk->word &= read_word(WORD(fdtable, table, close_on_exec) + index * sizeof(u64));
	if (walk->word)
		bpf_loop(64, walk_bit, walk, 0);
	return 0;
}

static __always_inline void walk_table(struct table_walk *walk)
{
	walk->now = bpf_ktime_get_boot_ns();
	bpf_loop(TABLE_WORDS_MAX, walk_word, walk, 0);
}

#endif
