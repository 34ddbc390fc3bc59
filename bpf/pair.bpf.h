/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The life of a pair: tracked at open with all that is known then, ended once, sent from where it lies. */
#ifndef FDSPAN_PAIR_BPF_H
#define FDSPAN_PAIR_BPF_H

#include "path.bpf.h"
#include "pending.bpf.h"
#include "ring.bpf.h"
#include "scope.bpf.h"
#include "slices.bpf.h"

#define S_IFMT 0170000
/* Flags of the call that the file does not keep: O_CREAT, O_EXCL, O_NOCTTY, O_TRUNC, O_CLOEXEC. */
#define O_CALL_FLAGS 02001700

static __always_inline u32 virtual_pid(u64 leader)
{
	return read_word(own_upid(leader)); /* nr is the first field */
}

static __always_inline void fill_task(struct pair_record *record, u64 task)
{
	u64 leader = WORD(task_struct, task, group_leader);
	u64 parent = WORD(task_struct, leader, real_parent);
	u64 comm = ADDRESS(task_struct, task, comm);

	record->pid = READ(task_struct, task, tgid);
	record->tid = READ(task_struct, task, pid);
	record->vpid = virtual_pid(leader);
	record->parent_pid = READ(task_struct, parent, tgid);
	record->user_id = READ(cred, WORD(task_struct, task, cred), uid.val);
	fill_namespaces(record->namespaces, task);
	*(u64 *)record->comm = read_word(comm);
	*(u64 *)(record->comm + 8) = read_word(comm + 8);
}

static __always_inline void fill_file(struct pair_record *record, u64 file, u32 open_flags)
{
	u64 inode = WORD(file, file, f_inode);

	record->inode = WORD(inode, inode, i_ino);
	record->mode = READ(inode, inode, i_mode);
	record->device = READ(super_block, WORD(inode, inode, i_sb), s_dev);
	record->open_flags = open_flags;
	record->size_bytes = 0;
}

static __always_inline void begin_record(struct pair_record *record, const struct opening *opening)
{
	record->kind = RECORD_PAIR;
	record->reason = CLOSE_FAILED;
	record->flags = opening->flags;
	record->scope = opening->container;
	record->opened_boot_ns = opening->opened_boot_ns;
	record->open_duration_ns = opening->duration_ns;
	record->fd = opening->fd;
	record->execution = opening->execution;
	record->slice_begun_boot_ns = opening->slice_begun_boot_ns;
	record->random = opening->random;
	record->threshold = opening->threshold;
	record->bytes_read = 0;
	record->bytes_written = 0;
	record->reads = 0;
	record->writes = 0;
	fill_task(record, opening->task);
}

/* The path of a file, by the kernel's rules: unlinked files, and those with a name of their own. */
static __always_inline void path_of_file(struct path_of *path, u64 task, u64 file)
{
	u64 fs = WORD(task_struct, task, fs);

	path->mnt = WORD(file, file, f_path.mnt);
	path->dentry = WORD(file, file, f_path.dentry);
	path->root_mnt = WORD(fs_struct, fs, root.mnt);
	path->root_dentry = WORD(fs_struct, fs, root.dentry);
	path->suffix_bytes = is_unlinked(path->dentry) ? DELETED_SUFFIX_BYTES : 0;
}

/* Whether d_path() asks the file system for the name. */
static __always_inline bool has_made_name(const struct path_of *path)
{
	u64 operations = WORD(dentry, path->dentry, d_op);

	return operations && WORD(dentry_operations, operations, d_dname) &&
	       (WORD(dentry, path->dentry, d_parent) != path->dentry ||
		path->dentry != WORD(vfsmount, path->mnt, mnt_root));
}

struct executable {
	u64 name;
	u32 bytes;
	u32 reserved;
};

static __always_inline void executable_of(struct executable *executable, u64 task)
{
	u64 file = WORD(mm_struct, WORD(task_struct, task, mm), exe_file);
	u64 dentry = WORD(file, file, f_path.dentry);

	executable->name = WORD(dentry, dentry, d_name.name);
	executable->bytes = READ(dentry, dentry, d_name.len) & 0xff;
}

/* Takes one of the long buffers: its index + 1, or 0 when all that are tried are taken. */
__noinline int take_long(u32 seed)
{
	for (u32 i = 0; i < 16; i++) {
		u32 index = (seed + i * 131) & (LONG_RECORDS - 1);
		struct long_record *record = bpf_map_lookup_elem(&long_records, &index);

		if (record && !record->taken && !__sync_val_compare_and_swap(&record->taken, 0, 1))
			return index + 1;
	}
	return 0;
}

static __always_inline struct long_record *long_record_of(u32 index_plus_one)
{
	u32 index = index_plus_one - 1;

	return index_plus_one ? bpf_map_lookup_elem(&long_records, &index) : NULL;
}

#define MADE_NAME_BASE_MAX  63
#define MADE_NAME_BYTES_MAX 80

static __always_inline void put(u8 *tail, u32 at, u8 byte)
{
	tail[at & 127] = byte;
}

static __always_inline u32 write_namespace_name(u8 *tail, u32 base, u64 inode)
{
	u64 common = WORD(inode, inode, i_private);
	u64 type = read_word(WORD(proc_ns_operations, WORD(ns_common, common, ops), name));
	u32 number = WORD(inode, inode, i_ino);
	u32 divisor = 1000000000;
	u32 at = base;

	for (int i = 0; i < 8; i++) {
		u8 byte = type >> (i * 8);

		if (!byte)
			break;
		put(tail, at++, byte);
	}
	put(tail, at++, ':');
	put(tail, at++, '[');
	for (int i = 0; i < 10; i++) {
		if (number >= divisor || divisor == 1)
			put(tail, at++, '0' + number / divisor % 10);
		divisor /= 10;
		if (!divisor)
			break;
	}
	put(tail, at++, ']');
	return at - base;
}

#define MADE_NAME_CUT 0x10000 /* beside the length: PAIR_PATH_TRUNCATED */

/*
 * A file without a path of its own has the name that its file system makes: "mnt:[4026531841]"
 * for a namespace, "/memfd:x (deleted)" for shared memory. Returns its length, and MADE_NAME_CUT.
 */
__noinline int write_made_name(struct pending_open *slot, u32 base, u64 dentry, u64 inode)
{
	u64 magic = WORD(super_block, WORD(inode, inode, i_sb), s_magic);
	u64 name = WORD(dentry, dentry, d_name.name);
	u32 bytes = READ(dentry, dentry, d_name.len), cut = 0;
	struct tail to = { .slot = slot };

	if (!slot || base > MADE_NAME_BASE_MAX)
		return 0;
	if (magic == NSFS_MAGIC)
		return write_namespace_name(slot->tail, base, inode);
	if (bytes > MADE_NAME_BYTES_MAX) {
		bytes = MADE_NAME_BYTES_MAX;
		cut = MADE_NAME_CUT;
	}
	slot->tail[base] = '/';
	write_short_name(slot, base + 1, name, bytes);
	write_suffix(&to, base + 1 + bytes);
	return (1 + bytes + DELETED_SUFFIX_BYTES) | cut;
}

#endif
