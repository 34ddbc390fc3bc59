/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The usual path: few names, and short enough for the slot. One walk notes the dentries, from the file up; the names
 * are then written from the root down, in whole words, each over what the one before it left behind its end.
 * Whatever doesn't fit, and every rename seen meanwhile, is left to path.bpf.h.
 */
#ifndef FDSPAN_SHORT_PATH_BPF_H
#define FDSPAN_SHORT_PATH_BPF_H

#include "path.bpf.h"

#define SHORT_NAMES_MAX 16
#define SHORT_STEPS_MAX 24 /* names and mounts */

struct short_walk {
	u64 dentries[SHORT_NAMES_MAX];
	u32 count;
	u32 bytes;
	u32 sequences; /* sum of the dentries' rename sequences */
	u32 reserved;
};

static __always_inline u32 rename_sequence(u64 dentry)
{
	return READ(dentry, dentry, d_seq.seqcount.sequence);
}

/*
 * Notes the dentries from the file up; 0 when there are more names or mounts than have a place. A global function, and
 * sums that live in memory: the verifier looks at it once, and at each step once, whatever came before.
 */
__noinline int note_dentries(struct short_walk *walk, const struct path_of *path)
{
	u64 dentry, mnt, top;

	if (!walk || !path)
		return 0;
	dentry = path->dentry;
	mnt = path->mnt;
	top = WORD(vfsmount, mnt, mnt_root);
	walk->count = walk->bytes = walk->sequences = 0;
	for (u32 step = 0; step < SHORT_STEPS_MAX; step++) {
		u32 count = walk->count;
		u64 parent;

		if (dentry == path->root_dentry && mnt == path->root_mnt)
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

/*
 * Copies a name in whole words and gives the place after it; what follows there is written over. A global function:
 * the verifier looks at it once, and knows nothing of what it returns, so that no walk of its own follows each place.
 */
__noinline int copy_words(struct pending_open *slot, u32 at, u64 name, u32 bytes)
{
	if (!slot)
		return 0;
	for (u32 done = 0; done < SLOT_TAIL_BYTES; done += 8) {
		u32 to = at + done;

		if (done >= bytes)
			break;
		BARRIER(to);
		if (to > SLOT_TAIL_BYTES - 8)
			break;
		*(u64 *)(slot->tail + to) = read_word(name + done);
	}
	return at + bytes;
}

/* Writes the noted names from `base` on; false when a rename was seen since they were noted. */
static __always_inline bool write_noted(struct pending_open *slot, u32 base,
					const struct short_walk *walk)
{
	u32 at = base, sequences = 0;

	for (u32 i = 0; i < SHORT_NAMES_MAX; i++) {
		u64 dentry;

		if (i >= walk->count)
			break;
		dentry = walk->dentries[(walk->count - 1 - i) & (SHORT_NAMES_MAX - 1)];
		BARRIER(at);
		if (at >= SLOT_TAIL_BYTES)
			return false;
		slot->tail[at] = '/';
		at = copy_words(slot, at + 1, WORD(dentry, dentry, d_name.name),
				READ(dentry, dentry, d_name.len) & 0xff);
		sequences += rename_sequence(dentry);
	}
	return sequences == walk->sequences && at == base + walk->bytes;
}

#endif
