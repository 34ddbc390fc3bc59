/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The usual path: few names, and short enough for the slot. One walk notes the dentries, from the file up; the names
 * are then written from the root down, in whole words, each over what the one before it left behind its end.
 * Whatever doesn't fit, and every rename seen meanwhile, is left to path.bpf.h.
 */
#ifndef FDSPAN_SHORT_PATH_BPF_H
#define FDSPAN_SHORT_PATH_BPF_H

#include "pair.bpf.h"

#define SHORT_NAMES_MAX	 16
#define SHORT_STEPS_MAX	 24 /* names and mounts */
#define SHORT_NAME_BYTES 96

struct short_walk {
	u64 dentries[SHORT_NAMES_MAX];
	u32 count;
	u32 bytes;
	u32 sequences; /* sum of the dentries' rename sequences */
	u32 at;	       /* where the next name is written */
};

static __always_inline u32 rename_sequence(u64 dentry)
{
	return READ(dentry, dentry, d_seq.seqcount.sequence);
}

_Static_assert(sizeof(struct short_walk) <= NOTES_BYTES, "the notes have a place in the record");

static __always_inline struct short_walk *notes_of(struct pending_open *slot)
{
	return NOTES_OF(slot);
}

/*
 * Notes the dentries from the file up; 0 when there are more names or mounts than have a place, or the name isn't one of
 * dentries. A global function, and sums that live in the slot: the verifier looks at it once, and at each step once,
 * whatever came before.
 */
__noinline int note_dentries(struct pending_open *slot, u64 task, u64 file)
{
	struct short_walk *walk;
	struct path_of path;
	u64 dentry, mnt, top;

	if (!slot)
		return 0;
	walk = notes_of(slot);
	path_of_file(&path, task, file);
	if (path.suffix_bytes || has_made_name(&path))
		return 0;
	dentry = path.dentry;
	mnt = path.mnt;
	top = WORD(vfsmount, mnt, mnt_root);
	walk->count = walk->bytes = walk->sequences = 0;
	for (u32 step = 0; step < SHORT_STEPS_MAX; step++) {
		u32 count = walk->count;
		u64 parent;

		if (dentry == path.root_dentry && mnt == path.root_mnt)
			return count;
		if (dentry == top) {
			u64 mount = mount_of(mnt);
			u64 above = WORD(mount, mount, mnt_parent);

			if (above == mount || !above)
				return count;
			dentry = WORD(mount, mount, mnt_mountpoint);
			mnt = ADDRESS(mount, above, mnt);
			top = WORD(vfsmount, mnt, mnt_root);
			continue;
		}
		parent = WORD(dentry, dentry, d_parent);
		if (parent == dentry || !parent)
			return count;
		if (count >= SHORT_NAMES_MAX)
			return 0;
		walk->dentries[count & (SHORT_NAMES_MAX - 1)] = dentry;
		walk->count = count + 1;
		walk->bytes += 1 + (READ(dentry, dentry, d_name.len) & 0xff);
		walk->sequences += rename_sequence(dentry);
		dentry = parent;
	}
	return 0;
}

static __always_inline void copy_words(u8 *to, u64 name, u32 first, u32 end)
{
#pragma unroll
	for (u32 word = first; word < end; word++)
		write_word(to + word * 8, read_word(name + word * 8));
}

/*
 * Copies a name in whole words, more than it has; the next name is written over them. False when it has no place. Without
 * a loop: the verifier would follow each of its ends, at each name.
 */
static __always_inline bool copy_short_name(struct pending_open *slot, u32 at, u64 name, u32 bytes)
{
	BARRIER(at);
	if (at > SLOT_TAIL_BYTES - 16)
		return false;
	copy_words(slot->tail + at, name, 0, 2);
	if (bytes <= 16)
		return true;
	BARRIER(at);
	if (at > SLOT_TAIL_BYTES - 32)
		return false;
	copy_words(slot->tail + at, name, 2, 4);
	if (bytes <= 32)
		return true;
	BARRIER(at);
	if (bytes > SHORT_NAME_BYTES || at > SLOT_TAIL_BYTES - SHORT_NAME_BYTES)
		return false;
	copy_words(slot->tail + at, name, 4, SHORT_NAME_BYTES / 8);
	return true;
}

/*
 * Writes the noted names from `base` on. False when one has no place, or a rename was seen since they were noted. Where the
 * next one goes stays in the slot's memory: the verifier knows nothing of what is read from there, so that all ways
 * through a turn are one to it.
 */
static __always_inline bool write_noted(struct pending_open *slot, u32 base)
{
	volatile struct short_walk *walk = notes_of(slot);
	u32 sequences = 0;

	walk->at = base;
	for (u32 i = 0; i < SHORT_NAMES_MAX; i++) {
		u32 left = walk->count, at = walk->at, bytes;
		u64 dentry;

		if (!left)
			break;
		walk->count = left - 1;
		dentry = walk->dentries[(left - 1) & (SHORT_NAMES_MAX - 1)];
		bytes = READ(dentry, dentry, d_name.len) & 0xff;
		walk->at = at + 1 + bytes;
		sequences += rename_sequence(dentry);
		BARRIER(at);
		if (at >= SLOT_TAIL_BYTES)
			return false;
		slot->tail[at] = '/';
		if (!copy_short_name(slot, at + 1, WORD(dentry, dentry, d_name.name), bytes))
			return false;
	}
	return sequences == walk->sequences && walk->at == base + walk->bytes;
}

/* Writes executable and path of the usual file; false when it takes the long way. */
static __always_inline bool fill_short_names(struct pending_open *slot, u64 task, u64 file)
{
	struct executable executable;
	u32 bytes;

	executable_of(&executable, task);
	if (!note_dentries(slot, task, file))
		return false;
	bytes = notes_of(slot)->bytes;
	if (executable.bytes + bytes > SLOT_TAIL_BYTES - WRITE_SLACK_BYTES ||
	    !copy_short_name(slot, 0, executable.name, executable.bytes) ||
	    !write_noted(slot, executable.bytes))
		return false;
	slot->long_index = 0;
	slot->record.executable_bytes = executable.bytes;
	slot->record.path_bytes = bytes;
	return true;
}

#endif
