/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The path of a file as its container sees it: a walk over dentries and mounts that stops at the
 * task's root. Two passes: the length first, so that the second writes each name where it stays.
 * Written to match the kernel's d_path().
 */
#ifndef FDSPAN_PATH_BPF_H
#define FDSPAN_PATH_BPF_H

#include "maps.bpf.h"

#define NAME_BYTES_MAX 255
#define NAME_WORDS     32
#define WALK_STEPS_MAX 4096 /* a path of 4,096 bytes has at most 2,048 names, and as many mounts */
#define NSFS_MAGIC     0x6e736673

/* Where names go: the long buffer where there is one, else the slot. */
struct tail {
	struct pending_open *slot;
	struct long_record *far;
};

struct walk {
	u64 dentry;
	u64 mnt; /* struct vfsmount */
	u64 root_dentry;
	u64 root_mnt;
	u64 seen;     /* of dentries and their sequence numbers: both passes must see the same */
	u32 bytes;    /* first pass: the length so far */
	u32 position; /* second pass: bytes that are still to be written, before what is */
	u32 base;     /* second pass: where in the tail the path begins */
	u32 cut;      /* second pass: the first name was cut or names were left out */
};

struct path_of {
	u64 mnt;
	u64 dentry;
	u64 root_mnt;
	u64 root_dentry;
	u32 suffix_bytes; /* of " (deleted)" */
	u32 bytes;	  /* of the whole path, at most PATH_BYTES_MAX */
	u64 seen;
	u32 truncated;
	u32 reserved;
};

struct long_walk {
	struct path_of path;
	struct walk walk;
};

/*
 * What is noted of a path while it is written lies in the slot, in what becomes the record, behind its head: the stack is
 * small, and the verifier knows nothing of what it reads from a map, so that it follows no sum.
 */
#define NOTES_BYTES    (sizeof(struct pair_record) - offsetof(struct pair_record, scope))
#define NOTES_OF(slot) ((void *)&(slot)->record.scope)

_Static_assert(sizeof(struct long_walk) <= NOTES_BYTES, "the notes have a place in the record");

static __always_inline struct long_walk *long_walk_of(struct pending_open *slot)
{
	return NOTES_OF(slot);
}

static __always_inline u64 mount_of(u64 vfsmount)
{
	return vfsmount - OFFSET(mount, mnt);
}

enum walk_step { WALK_END, WALK_MOUNT, WALK_NAME };

/* Goes one step up. For WALK_NAME, gives the name's address and length. */
static __always_inline enum walk_step walk_up(struct walk *walk, u64 *name, u32 *bytes)
{
	u64 dentry = walk->dentry, mnt = walk->mnt, parent;

	if (dentry == walk->root_dentry && mnt == walk->root_mnt)
		return WALK_END;
	if (dentry == WORD(vfsmount, mnt, mnt_root)) {
		u64 mount = mount_of(mnt);
		u64 above = WORD(mount, mount, mnt_parent);

		if (above == mount || !above)
			return WALK_END; /* the top of all mounts: outside of the task's root */
		walk->dentry = WORD(mount, mount, mnt_mountpoint);
		walk->mnt = ADDRESS(mount, above, mnt);
		return WALK_MOUNT;
	}
	parent = WORD(dentry, dentry, d_parent);
	if (parent == dentry || !parent)
		return WALK_END;
	*name = WORD(dentry, dentry, d_name.name);
	*bytes = READ(dentry, dentry, d_name.len) & 0xff;
	walk->seen = walk->seen * 31 + parent + READ(dentry, dentry, d_seq.seqcount.sequence);
	walk->dentry = parent;
	return WALK_NAME;
}

static long measure_step(u32 index, const struct tail *to)
{
	struct walk *walk = &long_walk_of(to->slot)->walk;
	u64 name;
	u32 bytes;
	enum walk_step step;

	if (walk->bytes > PATH_BYTES_MAX)
		return 1;
	step = walk_up(walk, &name, &bytes);
	if (step == WALK_END)
		return 1;
	if (step == WALK_NAME)
		walk->bytes += 1 + bytes;
	return 0;
}

/* Merges the first `bytes` (1 to 7) of a word into the 8 bytes at `to`. */
static __always_inline void write_part(u8 *to, u64 word, u32 bytes)
{
	u64 mask = ~0ULL >> ((64 - bytes * 8) & 63);

	write_word(to, (word_at(to) & ~mask) | (word & mask));
}

static __always_inline int copy_name(u8 *tail, u32 tail_bytes, u32 offset, u64 name, u32 bytes)
{
	for (u32 word = 0; word < NAME_WORDS; word++) {
		u32 done = word * 8;
		u32 at = offset + done;

		if (done >= bytes)
			return 0;
		BARRIER(at);
		if (at > tail_bytes - 8)
			return 0;
		if (bytes - done >= 8)
			write_word(tail + at, read_word(name + done));
		else
			write_part(tail + at, read_word(name + done), bytes - done);
	}
	return 0;
}

/*
 * Copy a name to tail[offset]; the bytes after it stay as they are. Global functions: the verifier
 * looks at each once, not again for every state of its callers.
 */
__noinline int write_short_name(struct pending_open *slot, u32 offset, u64 name, u32 bytes)
{
	return slot ? copy_name(slot->tail, SLOT_TAIL_BYTES, offset, name, bytes) : 0;
}

__noinline int write_long_name(struct long_record *far, u32 offset, u64 name, u32 bytes)
{
	return far ? copy_name(far->tail, LONG_TAIL_BYTES, offset, name, bytes) : 0;
}

static __always_inline void write_name(struct tail *to, u32 offset, u64 name, u32 bytes)
{
	if (to->far)
		write_long_name(to->far, offset, name, bytes);
	else
		write_short_name(to->slot, offset, name, bytes);
}

static __always_inline void write_slash(struct tail *to, u32 at)
{
	BARRIER(at);
	if (to->far) {
		if (at < LONG_TAIL_BYTES)
			to->far->tail[at] = '/';
	} else if (at < SLOT_TAIL_BYTES) {
		to->slot->tail[at] = '/';
	}
}

static long write_step(u32 index, struct tail *to)
{
	struct walk *walk = &long_walk_of(to->slot)->walk;
	u64 name;
	u32 bytes, at;
	enum walk_step step;

	if (!walk->position) {
		/* Full, but not at the root: names before are left out. */
		step = walk_up(walk, &name, &bytes);
		walk->cut |= step == WALK_NAME;
		return step != WALK_MOUNT;
	}
	step = walk_up(walk, &name, &bytes);
	if (step == WALK_END)
		return 1;
	if (step == WALK_MOUNT)
		return 0;
	if (bytes + 1 > walk->position) {
		/* The tail is kept: of this name, its end. */
		u32 skipped = bytes - walk->position;

		walk->cut = 1;
		if (bytes < walk->position) {
			skipped = 0; /* only the slash doesn't fit */
			walk->position = bytes;
		}
		write_name(to, walk->base, name + skipped, walk->position);
		walk->position = 0;
		return 1;
	}
	walk->position -= bytes + 1;
	at = walk->base + walk->position;
	write_slash(to, at);
	write_name(to, at + 1, name, bytes);
	return 0;
}

static __always_inline void begin_walk(struct walk *walk, const struct path_of *path)
{
	walk->dentry = path->dentry;
	walk->mnt = path->mnt;
	walk->root_dentry = path->root_dentry;
	walk->root_mnt = path->root_mnt;
	walk->seen = 0;
	walk->bytes = 0;
	walk->position = 0;
	walk->base = 0;
	walk->cut = 0;
}

#define DELETED_SUFFIX_BYTES 10

static __always_inline bool is_unlinked(u64 dentry)
{
	return !WORD(dentry, dentry, d_hash.pprev) && WORD(dentry, dentry, d_parent) != dentry;
}

/* Measures the path of the notes. A global function, as those below: the verifier looks at it once, not for each caller. */
__noinline int measure_path(struct pending_open *slot)
{
	struct tail to = { .slot = slot };
	struct path_of *path;
	struct walk *walk;

	if (!slot)
		return 0;
	path = &long_walk_of(slot)->path;
	walk = &long_walk_of(slot)->walk;
	begin_walk(walk, path);
	bpf_loop(WALK_STEPS_MAX, measure_step, &to, 0);
	path->seen = walk->seen;
	path->bytes = walk->bytes ? walk->bytes : 1; /* the root itself is "/" */
	path->bytes += path->suffix_bytes;
	path->truncated = path->bytes > PATH_BYTES_MAX;
	if (path->truncated)
		path->bytes = PATH_BYTES_MAX;
	return 0;
}

#define DELETED_SUFFIX_START 0x6574656c65642820ULL /* " (delete" */

static __always_inline void put_suffix(u8 *tail, u32 tail_bytes, u32 at)
{
	BARRIER(at);
	if (at > tail_bytes - DELETED_SUFFIX_BYTES)
		return;
	write_word(tail + at, DELETED_SUFFIX_START);
	tail[at + 8] = 'd';
	tail[at + 9] = ')';
}

static __always_inline void write_suffix(struct tail *to, u32 at)
{
	if (to->far)
		put_suffix(to->far->tail, LONG_TAIL_BYTES, at);
	else
		put_suffix(to->slot->tail, SLOT_TAIL_BYTES, at);
}

/* Writes the path that was measured, cut to `bytes`, at `base`; false if a rename was seen. */
static __always_inline bool write_path_to(struct tail *to, u32 base, u32 bytes)
{
	struct path_of *path = &long_walk_of(to->slot)->path;
	struct walk *walk = &long_walk_of(to->slot)->walk;

	begin_walk(walk, path);
	walk->base = base;
	walk->position = bytes - path->suffix_bytes;
	write_slash(to, base); /* the root itself, which has no name to write */
	bpf_loop(WALK_STEPS_MAX, write_step, to, 0);
	if (path->suffix_bytes)
		write_suffix(to, base + bytes - path->suffix_bytes);
	if (walk->cut)
		path->truncated = 1;
	/* A cut walk ends early: what it saw can't be compared. */
	return walk->cut || walk->seen == path->seen;
}

__noinline int write_short_path(struct pending_open *slot, u32 base, u32 bytes)
{
	struct tail to = { .slot = slot };

	return slot ? write_path_to(&to, base, bytes) : 0;
}

__noinline int write_long_path(struct pending_open *slot, struct long_record *far, u32 base,
			       u32 bytes)
{
	struct tail to = { .slot = slot, .far = far };

	return slot && far ? write_path_to(&to, base, bytes) : 0;
}

#endif
