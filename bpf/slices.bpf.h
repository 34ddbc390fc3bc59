/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Slices: one execution of a process (or one container) in one span of time, shorter where it opens many files. All
 * opens of a slice share a trace and its randomness, so that they are sampled together. Sets of four slices, each in a
 * cache line of its own; one that has no place takes the oldest one's, which is told as ended.
 */
#ifndef FDSPAN_SLICES_BPF_H
#define FDSPAN_SLICES_BPF_H

#include "ring.bpf.h"

struct opening {
	u64 task;
	u64 files;
	u64 file; /* 0: the open failed */
	u64 container;
	u64 opened_boot_ns;
	u64 duration_ns;
	s32 fd; /* or -errno */
	u32 open_flags;
	u32 flags;   /* enum pair_flag */
	u32 verdict; /* of the container, with its slot */
	u64 execution;
	u64 slice_begun_boot_ns;
	u32 random;
	u32 threshold;
};

#define SLICE_WAYS    4
#define SLICE_FILLING ~0ULL
#define NO_SLICE      ~0U /* in place of an index */
/*
 * Reason: a backend refuses a trace of more than 5 MB (Tempo). A path is sent twice, and a byte that isn't UTF-8 as four:
 * 2 MB, beside 0.8 MB for 1,000 spans.
 */
#define SLICE_PATH_BYTES_MAX (256 << 10)

struct slice {
	u64 execution; /* 0: free */
	u64 begun_boot_ns;
	u64 scope; /* of the container */
	u32 pid;   /* 0: the slice of a container */
	u32 opens;
	u32 tracked; /* no record goes out for a slice of which no file was tracked or filtered */
	u32 unsampled;
	u32 dropped;
	u32 filtered;	/* of `opens`: they don't make it full, and aren't told as opens */
	u32 path_bytes; /* of what was tracked */
	u32 rolling;	/* 1: one processor begins the next slice here */
	u32 reserved[2];
};

_Static_assert(sizeof(struct slice) == 64, "one cache line");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct slice);
} slices SEC(".maps");

static __always_inline u32 mix(u32 hash, u32 word)
{
	hash = (hash ^ word) * 0x85ebca6b;
	hash = (hash ^ (hash >> 13)) * 0xc2b2ae35;
	return hash ^ (hash >> 16);
}

/* One step of 64 bits is a third of what two of 32 bits take. */
static __always_inline u64 mix_long(u64 word)
{
	word = (word ^ word >> 32) * 0xd6e8feb86659fd93ULL;
	word = (word ^ word >> 32) * 0xd6e8feb86659fd93ULL;
	return word ^ word >> 32;
}

/* 32 bits of a slice's 56. */
static __always_inline u32 randomness(u64 execution, u64 begun_boot_ns)
{
	return mix_long(execution ^ begun_boot_ns * 0x9e3779b97f4a7c15ULL) >> 32;
}

static __always_inline u64 hash_words(u64 one, u64 other)
{
	u32 low = mix(mix(0x27d4eb2f, one), one >> 32);
	u32 high = mix(mix(0x165667b1, other), other >> 32);

	low = mix(low, high);
	high = mix(high, low);
	return (u64)high << 32 | low | 1;
}

/* What makes one execution: pid, start and number of execs; of a container its scope. Never 0. */
static __always_inline u64 execution_of(const struct opening *opening)
{
	u64 leader, identity;

	if (settings.group_by == GROUP_BY_CONTAINER)
		return hash_words(opening->container, settings.boot_secret);
	leader = WORD(task_struct, opening->task, group_leader);
	identity = (u64)READ(task_struct, opening->task, self_exec_id) << 32 |
		   (u32)READ(task_struct, opening->task, tgid);
	/* The secret twice: from an execution that somebody sees it can't be reckoned back. */
	identity = mix_long(identity ^ settings.boot_secret);
	return mix_long(identity ^ WORD(task_struct, leader, start_boottime) ^
			(settings.boot_secret >> 32 | settings.boot_secret << 32)) |
	       1;
}

static __always_inline u32 slice_set(u32 pid, u64 execution)
{
	u32 number = settings.group_by == GROUP_BY_CONTAINER ? (u32)execution >> 1 : pid;

	return (number & settings.slice_mask) * SLICE_WAYS;
}

static __always_inline struct slice *slice_at(u32 index)
{
	return bpf_map_lookup_elem(&slices, &index);
}

/* Tells a slice that has ended; its counts are taken out, whoever counts meanwhile counts for the next one. */
__noinline int tell_slice(struct slice *slice, u64 execution, u64 begun, u32 reason, s32 exit_code)
{
	struct slice_record record = { .kind = RECORD_SLICE_ENDED };

	if (!slice)
		return 0;
	record.reason = reason;
	record.pid = slice->pid;
	record.scope = slice->scope;
	record.execution = execution;
	record.begun_boot_ns = begun;
	record.ended_boot_ns = bpf_ktime_get_boot_ns();
	record.exit_code = exit_code;
	slice->path_bytes = 0;
	record.opens = __sync_lock_test_and_set(&slice->opens, 0);
	record.unsampled = __sync_lock_test_and_set(&slice->unsampled, 0);
	record.dropped = __sync_lock_test_and_set(&slice->dropped, 0);
	record.filtered = __sync_lock_test_and_set(&slice->filtered, 0);
	/* One that is left out while the slice is told may count for the next slice: never below 0. */
	record.opens -= record.filtered < record.opens ? record.filtered : record.opens;
	if (!__sync_lock_test_and_set(&slice->tracked, 0) && !record.filtered)
		return 0;
	if (send(&record, sizeof(record)))
		count(COUNTER_SLICE_RECORDS_LOST);
	return 0;
}

static __always_inline bool is_over(const struct slice *slice, u64 begun, u64 now)
{
	return now > begun + settings.slice_ns || slice->path_bytes >= SLICE_PATH_BYTES_MAX ||
	       (s32)(slice->opens - slice->filtered) >= (s32)settings.slice_opens_max;
}

/* Takes a place from the others; what is read of it before may have changed by then, what is read after it not. */
static __always_inline bool claim_slice(struct slice *slice, u64 execution)
{
	return execution != SLICE_FILLING &&
	       __sync_val_compare_and_swap(&slice->execution, execution, SLICE_FILLING) ==
		       execution;
}

/* Makes a place for a new slice: a free one, one whose time is up, or the oldest. Where it lies, or NO_SLICE. */
static __always_inline u32 take_slice(u32 set, u64 now)
{
	u32 taken = NO_SLICE;
	u64 oldest = ~0ULL, execution, begun;
	struct slice *slice;

	for (u32 way = 0; way < SLICE_WAYS; way++) {
		slice = slice_at(set + way);
		if (!slice || slice->execution == SLICE_FILLING)
			continue;
		if (!slice->execution) {
			taken = set + way;
			break;
		}
		if (slice->begun_boot_ns < oldest) {
			oldest = slice->begun_boot_ns;
			taken = set + way;
		}
	}
	slice = slice_at(taken);
	if (!slice)
		return NO_SLICE;
	execution = slice->execution;
	if (!claim_slice(slice, execution))
		return NO_SLICE;
	begun = slice->begun_boot_ns;
	if (execution)
		tell_slice(slice, execution, begun,
			   now > begun + settings.slice_ns ? SLICE_ROLLED : SLICE_REPLACED, 0);
	return taken;
}

/* Where the slice of an execution lies, or NO_SLICE. */
static __always_inline u32 find_slice(u32 set, u64 execution)
{
	for (u32 way = 0; way < SLICE_WAYS; way++) {
		struct slice *slice = slice_at(set + way);

		if (slice && slice->execution == execution)
			return set + way;
	}
	return NO_SLICE;
}

/* A global function, as it is the rare case. */
__noinline int begin_slice(u32 set, const struct opening *opening, u32 pid)
{
	u32 index = opening ? take_slice(set, opening->opened_boot_ns) : NO_SLICE;
	struct slice *slice = slice_at(index);

	if (!opening || !slice)
		return NO_SLICE;
	slice->begun_boot_ns = opening->opened_boot_ns;
	slice->scope = opening->container;
	slice->pid = pid;
	publish(&slice->execution, opening->execution);
	return index;
}

/* Begins the next slice in place; one processor at a time, and only if no other has done it before. */
static __always_inline void roll_slice(struct slice *slice, u64 execution, u64 now)
{
	u64 begun = slice->begun_boot_ns;

	if (!is_over(slice, begun, now))
		return;
	slice->begun_boot_ns = now;
	tell_slice(slice, execution, begun, SLICE_ROLLED, 0);
}

/* Finds or begins the slice of an open, and counts it there; its index, or NO_SLICE when others take the set's places just now. */
static __always_inline u32 join_slice(struct opening *opening)
{
	u32 pid = settings.group_by == GROUP_BY_CONTAINER
			  ? 0
			  : (u32)READ(task_struct, opening->task, tgid);
	u32 set = slice_set(pid, opening->execution);
	u32 index = find_slice(set, opening->execution);
	struct slice *slice;
	u64 begun;

	if (index == NO_SLICE)
		index = begin_slice(set, opening, pid);
	slice = slice_at(index);
	if (!slice)
		return NO_SLICE;
	if (is_over(slice, slice->begun_boot_ns, opening->opened_boot_ns) &&
	    !__sync_val_compare_and_swap(&slice->rolling, 0, 1)) {
		roll_slice(slice, opening->execution, opening->opened_boot_ns);
		slice->rolling = 0;
	}
	begun = slice->begun_boot_ns;
	/* Taken by another execution meanwhile. */
	if (slice->execution != opening->execution)
		return NO_SLICE;
	opening->slice_begun_boot_ns = begun;
	__sync_fetch_and_add(&slice->opens, 1);
	return index;
}

/*
 * Puts an open into its slice; the open's execution and slice are set. Gives the slice's index: with a pointer, which may be
 * NULL, the verifier would follow two ways from here on. NO_SLICE: the open is a slice of its own, without counts.
 */
static __always_inline u32 slice_at_open(struct opening *opening)
{
	u32 index;

	opening->execution = execution_of(opening);
	opening->slice_begun_boot_ns = opening->opened_boot_ns;
	index = join_slice(opening);
	opening->random = randomness(opening->execution, opening->slice_begun_boot_ns);
	return index;
}

enum slice_count { SLICE_TRACKED, SLICE_UNSAMPLED, SLICE_DROPPED, SLICE_LEFT_OUT };

/* An open that is tracked adds its path, too. */
static __always_inline void count_in_slice(u32 index, enum slice_count what, u32 path_bytes)
{
	struct slice *slice = slice_at(index);

	if (!slice)
		return;
	if (path_bytes)
		__sync_fetch_and_add(&slice->path_bytes, path_bytes);
	if (what == SLICE_TRACKED)
		__sync_fetch_and_add(&slice->tracked, 1);
	else if (what == SLICE_UNSAMPLED)
		__sync_fetch_and_add(&slice->unsampled, 1);
	else if (what == SLICE_DROPPED)
		__sync_fetch_and_add(&slice->dropped, 1);
	else
		__sync_fetch_and_add(&slice->filtered, 1);
}

/* The slice of a record while it lasts. */
static __always_inline u32 slice_of_record(const struct pair_record *record)
{
	u32 index = find_slice(slice_set(record->pid, record->execution), record->execution);
	struct slice *slice = slice_at(index);

	return slice && slice->begun_boot_ns == record->slice_begun_boot_ns ? index : NO_SLICE;
}

/* Counts in the slice of a record. A global function, as it is rare. */
__noinline int count_in_slice_of(const struct pair_record *record, u32 what)
{
	if (record)
		count_in_slice(slice_of_record(record), what, 0);
	return 0;
}

/* Ends the slice of a process that executes another program or exits. */
static __always_inline void end_slice_of(u32 pid, u32 reason, s32 exit_code)
{
	u32 set = slice_set(pid, 0);

	if (settings.group_by == GROUP_BY_CONTAINER)
		return;
	for (u32 way = 0; way < SLICE_WAYS; way++) {
		struct slice *slice = slice_at(set + way);
		u64 execution;

		if (!slice || slice->pid != pid)
			continue;
		execution = slice->execution;
		if (!execution || !claim_slice(slice, execution))
			continue;
		tell_slice(slice, execution, slice->begun_boot_ns, reason, exit_code);
		publish(&slice->execution, 0);
	}
}

/* Tells slices whose time is up though nothing was opened since. */
static long expire_slice(u32 index, u64 *until)
{
	struct slice *slice = slice_at(index);
	u64 execution, begun;

	if (!slice)
		return 1;
	execution = slice->execution;
	if (!execution || slice->begun_boot_ns > *until || !claim_slice(slice, execution))
		return 0;
	begun = slice->begun_boot_ns;
	if (slice->rolling || begun > *until) {
		publish(&slice->execution, execution);
		return 0;
	}
	tell_slice(slice, execution, begun, SLICE_ROLLED, 0);
	publish(&slice->execution, 0);
	return 0;
}

SEC("syscall")
int expire_slices(struct expire_arguments *arguments)
{
	u64 until = arguments->begun_until_boot_ns;

	bpf_loop((settings.slice_mask + 1) * SLICE_WAYS, expire_slice, &until, 0);
	return 0;
}

#endif
