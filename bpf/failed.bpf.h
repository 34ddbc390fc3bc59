/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Failed opens: a record of its own, at once. The path is the caller's, after the directory it is relative to. */
#ifndef FDSPAN_FAILED_BPF_H
#define FDSPAN_FAILED_BPF_H

#include "descriptors.bpf.h"
#include "syscalls.bpf.h"

#define RELATIVE_BYTES_MAX 2048 /* of the directory, and of the name after it */

/* The directory that a relative path starts from. */
static __always_inline void path_of_directory(struct path_of *path, u64 task, u64 files, s32 dirfd)
{
	u64 fs = WORD(task_struct, task, fs);

	path_of_file(path, task, dirfd == AT_FDCWD ? 0 : file_at(files, dirfd));
	path->suffix_bytes = 0;
	if (dirfd == AT_FDCWD) {
		path->mnt = WORD(fs_struct, fs, pwd.mnt);
		path->dentry = WORD(fs_struct, fs, pwd.dentry);
	}
}

/* Writes directory and slash to the tail; gives their length, 0 when it is too long. */
static __always_inline u32 write_directory(struct pending_open *slot, struct long_record *far,
					   u64 task, s32 dirfd, u32 base, u32 *flags)
{
	struct path_of *path = &long_walk_of(slot)->path;
	u32 at, bytes;

	path_of_directory(path, task, WORD(task_struct, task, files), dirfd);
	measure_path(slot);
	bytes = path->bytes;
	if (bytes > RELATIVE_BYTES_MAX - 2) {
		*flags |= PAIR_PATH_TRUNCATED;
		return 0;
	}
	if (bytes <= 1)
		bytes = 0;
	else if (!write_long_path(slot, far, base, bytes))
		*flags |= PAIR_PATH_RENAMED;
	at = base + bytes;
	BARRIER(at);
	if (at > RELATIVE_BYTES_MAX + 255)
		return 0;
	far->tail[at] = '/';
	return bytes + 1;
}

/* Returns what is to be marked: enum pair_flag. */
__noinline int fill_failed_path(struct pending_open *slot, struct long_record *far, u64 task,
				s32 dirfd, u64 user_path)
{
	struct executable executable;
	u32 base, at, flags = 0;
	u8 first = 0;
	long bytes;

	if (!far || !slot)
		return 0;
	executable_of(&executable, task);
	base = executable.bytes & 0xff;
	write_long_name(far, 0, executable.name, base);
	slot->record.executable_bytes = base;
	slot->record.path_bytes = 0;
	if (!user_path || bpf_probe_read_user(&first, 1, (void *)user_path))
		return 0;
	if (first == '/') {
		bytes = bpf_probe_read_user_str(far->tail + base, PATH_BYTES_MAX,
						(void *)user_path);
		slot->record.path_bytes = bytes > 0 ? bytes - 1 : 0;
		return bytes == PATH_BYTES_MAX ? PAIR_PATH_TRUNCATED : 0;
	}
	at = write_directory(slot, far, task, dirfd, base, &flags);
	slot->record.path_bytes = at;
	at += base;
	BARRIER(at);
	if (at > RELATIVE_BYTES_MAX + 255)
		return flags;
	bytes = bpf_probe_read_user_str(far->tail + at, RELATIVE_BYTES_MAX, (void *)user_path);
	if (bytes > 0)
		slot->record.path_bytes += bytes - 1;
	if (bytes == RELATIVE_BYTES_MAX)
		flags |= PAIR_PATH_TRUNCATED;
	return flags;
}

#define SHORT_FAILED_BASE_MAX 63
#define SHORT_FAILED_BYTES    96

/* Without a long buffer: what fits the slot of the name as the caller gave it. Returns what is to be marked. */
__noinline int fill_failed_shortly(struct pending_open *slot, u64 task, u64 user_path)
{
	struct executable executable;
	u32 base;
	long bytes;

	if (!slot)
		return 0;
	executable_of(&executable, task);
	base = executable.bytes > SHORT_FAILED_BASE_MAX ? SHORT_FAILED_BASE_MAX : executable.bytes;
	write_short_name(slot, 0, executable.name, base);
	bytes = bpf_probe_read_user_str(slot->tail + base, SHORT_FAILED_BYTES, (void *)user_path);
	slot->record.executable_bytes = base;
	slot->record.path_bytes = bytes > 0 ? bytes - 1 : 0;
	return PAIR_PATH_TRUNCATED;
}

static __always_inline void begin_failed(struct pair_record *record, const struct opening *opening,
					 u64 now)
{
	begin_record(record, opening);
	record->closed_boot_ns = now;
	record->open_flags = opening->open_flags;
	record->inode = 0;
	record->size_bytes = 0;
	record->mode = 0;
	record->device = 0;
}

/*
 * Tells a failed open. A slot is taken for the moment: it is the memory that the record needs. A global function, as those
 * of an open that succeeds.
 */
__noinline int tell_failed(struct opening *opening, s32 dirfd, u64 user_path, u64 now)
{
	struct found taken;
	struct pending_open *slot;
	struct long_record *far;
	u32 slice, index, flags;

	if (!opening)
		return 0;
	count(COUNTER_OPENS_IN_SCOPE);
	if (is_unwanted_user(opening->task)) {
		count_left_out(COUNTER_PROCESS_EXCLUDED);
		return 0;
	}
	slice = slice_at_open(opening);
	if (!take_slot(opening->task, &taken)) {
		count_no_place(opening, slice);
		return 0;
	}
	slot = taken.slot;
	slot->generation++;
	index = take_long(bpf_get_prandom_u32());
	far = long_record_of(index);
	slot->long_index = far ? index : 0;
	if (far) {
		flags = fill_failed_path(slot, far, opening->task, dirfd, user_path);
	} else {
		count(COUNTER_PATHS_SHORTENED);
		flags = fill_failed_shortly(slot, opening->task, user_path);
	}
	/* The path is cut at its tail, if anywhere: globs may match its head. */
	if (!is_left_out(opening, slot, slice, false, 0)) {
		opening->flags |= flags;
		begin_failed(&slot->record, opening, now);
		move_record(slot);
		count(COUNTER_OPENS_FAILED);
		send_pair(slot);
	}
	free_slot(taken.tag, slot);
	return 0;
}

#endif
