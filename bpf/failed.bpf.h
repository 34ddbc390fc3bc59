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

/* Writes directory and slash to the tail; gives their length, 0 when the directory is the root. */
static __always_inline u32 write_directory(struct long_record *far, u64 task, u64 files, s32 dirfd,
					   u32 base)
{
	struct path_of path = {};
	u32 at;

	path_of_directory(&path, task, files, dirfd);
	measure_path(&path);
	if (path.bytes > RELATIVE_BYTES_MAX - 2) {
		far->record.flags |= PAIR_PATH_TRUNCATED;
		return 0;
	}
	if (path.bytes <= 1)
		path.bytes = 0;
	else if (!write_long_path(&path, far, base, path.bytes))
		far->record.flags |= PAIR_PATH_RENAMED;
	at = base + path.bytes;
	BARRIER(at);
	if (at > RELATIVE_BYTES_MAX + 255)
		return 0;
	far->tail[at] = '/';
	return path.bytes + 1;
}

__noinline int fill_failed_path(struct long_record *far, u64 task, s32 dirfd, u64 user_path)
{
	struct executable executable;
	u8 first = 0;
	u32 base, at;
	long bytes;

	if (!far)
		return 0;
	executable_of(&executable, task);
	base = executable.bytes & 0xff;
	write_long_name(far, 0, executable.name, base);
	far->record.executable_bytes = base;
	far->record.path_bytes = 0;
	if (!user_path || bpf_probe_read_user(&first, 1, (void *)user_path))
		return 0;
	if (first == '/') {
		bytes = bpf_probe_read_user_str(far->tail + base, PATH_BYTES_MAX,
						(void *)user_path);
		far->record.path_bytes = bytes > 0 ? bytes - 1 : 0;
		return 0;
	}
	at = write_directory(far, task, WORD(task_struct, task, files), dirfd, base);
	far->record.path_bytes = at;
	at += base;
	BARRIER(at);
	if (at > RELATIVE_BYTES_MAX + 255)
		return 0;
	bytes = bpf_probe_read_user_str(far->tail + at, RELATIVE_BYTES_MAX, (void *)user_path);
	if (bytes > 0)
		far->record.path_bytes += bytes - 1;
	if (bytes == RELATIVE_BYTES_MAX)
		far->record.flags |= PAIR_PATH_TRUNCATED;
	return 0;
}

#define SHORT_FAILED_BASE_MAX 63
#define SHORT_FAILED_BYTES    96

/* Without a long buffer: what fits the slot of the name as the caller gave it, marked. */
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
	slot->record.flags |= PAIR_PATH_TRUNCATED;
	return 0;
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

/* Tells a failed open. A slot is taken for the moment: it is the memory that the record needs. */
static __always_inline void tell_failed(struct opening *opening, s32 dirfd, u64 user_path,
					u64 now)
{
	struct found taken;
	struct long_record *far;
	struct slice *slice;
	u32 index = 0;

	count(COUNTER_OPENS_IN_SCOPE);
	if (is_unwanted_user(opening->task)) {
		count_left_out(COUNTER_PROCESS_EXCLUDED);
		return;
	}
	slice = slice_at_open(opening);
	if (!take_slot(opening->task, &taken)) {
		count_no_place(opening, slice);
		return;
	}
	count(COUNTER_OPENS_FAILED);
	taken.slot->generation++;
	index = take_long(bpf_get_prandom_u32());
	far = long_record_of(index);
	taken.slot->long_index = far ? index : 0;
	if (far) {
		begin_failed(&far->record, opening, now);
		fill_failed_path(far, opening->task, dirfd, user_path);
	} else {
		count(COUNTER_PATHS_SHORTENED);
		begin_failed(&taken.slot->record, opening, now);
		fill_failed_shortly(taken.slot, opening->task, user_path);
	}
	if (!is_left_out(opening, taken.slot, slice, false))
		send_pair(taken.slot);
	free_slot(taken.tag, taken.slot);
}

#endif
