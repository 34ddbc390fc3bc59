/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The maps and settings that the programs share, and the counters. */
#ifndef FDSPAN_MAPS_BPF_H
#define FDSPAN_MAPS_BPF_H

#include "reading.bpf.h"
#include "record.h"

/* User space sets it before load; one variable in a section of its own has offset 0. */
const volatile struct settings settings SEC(".rodata.settings") = {};

/* User space maps it; read anew wherever it is asked. */
volatile struct live_settings live SEC(".data.live") = {};

struct pending_open {
	u64 files;	/* address of the owner: the descriptor table that the open went into */
	u32 generation; /* grows each time the slot is taken */
	u32 epoch;	/* of the last sweep that saw the file in its owner's table */
	u64 descriptors[OWNED_DESCRIPTORS]; /* generation << 32 | number; NO_DESCRIPTOR: free */
	u32 many;	/* more descriptors than fit: the owner's table is searched at each close */
	u32 long_index; /* entry of long_records + 1; 0: the record is here */
	u64 reported_boot_ns; /* until when held reports tell of the file; at first when it was opened */
	struct pair_record record;
	u8 tail[SLOT_TAIL_BYTES];
};

_Static_assert(sizeof(struct pending_open) == SLOT_BYTES, "seven cache lines");

#define WRITE_SLACK_BYTES 8 /* names are written in words of 8 bytes */
#define LONG_TAIL_BYTES	  (PATH_BYTES_MAX + 256 + WRITE_SLACK_BYTES)
#define LONG_RECORDS	  2048 /* 9 MiB; a longer path than fits a slot is cut when all are taken */

/* The record is first: its address is the entry's, which the verifier wants checked before it grows. */
struct long_record {
	struct pair_record record;
	u8 tail[LONG_TAIL_BYTES];
	u32 taken;
	u32 reserved;
};

#define UNTRACED ~0ULL

/* Where a task is in a call that needs something from its entry. */
struct call_start {
	u64 boot_ns;
	u64 container; /* scope, or UNTRACED */
	union {
		u64 target;  /* struct file that dup2 or dup3 will close */
		u64 verdict; /* of an open's container, with its slot */
	};
	u32 tid;       /* 0: none */
	u16 number;    /* of the system call */
	u16 restart;   /* -errno with which the kernel will restart the call; 0: none */
};

struct bucket {
	u64 tags[BUCKET_TAGS]; /* struct file; lowest bit: being filled or ended */
};

#define TABLE_COUNTS 65536 /* hash of a descriptor table; a collision only costs time */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring SEC(".maps");

/* BPF_F_MMAPABLE, here and below: only such an array begins at a cache line. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct call_start);
} starts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 32768);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct bucket);
} buckets SEC(".maps");

/* Mapped by user space: it chooses the oldest ones at stop. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct pending_open);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LONG_RECORDS);
	__type(key, u32);
	__type(value, struct long_record);
} long_records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TABLE_COUNTS);
	__type(key, u32);
	__type(value, u32);
} table_counts SEC(".maps");

/* Epoch of the running sweep, told by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} sweep_epoch SEC(".maps");

static __always_inline u32 current_epoch(void)
{
	u32 zero = 0;
	u32 *epoch = bpf_map_lookup_elem(&sweep_epoch, &zero);

	return epoch ? *epoch : 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTER_COUNT);
	__type(key, u32);
	__type(value, u64);
} counters SEC(".maps");

static __always_inline void count(u32 counter)
{
	u64 *value = bpf_map_lookup_elem(&counters, &counter);

	if (value)
		/* Atomic also against another program on this CPU: later kernels may preempt. */
		__sync_fetch_and_add(value, 1);
}

/* Stores after all stores before it. On x86 every store does; elsewhere only a locked exchange is sure to. */
static __always_inline void publish(u64 *place, u64 value)
{
#if defined(__TARGET_ARCH_x86)
	asm volatile("" ::: "memory");
	*(volatile u64 *)place = value;
#else
	__sync_lock_test_and_set(place, value);
#endif
}

static __always_inline struct call_start *start_of(u32 tid)
{
	u32 index = tid & settings.start_mask;

	return bpf_map_lookup_elem(&starts, &index);
}

static __always_inline u32 hash_address(u64 address, u64 factor)
{
	return ((address >> 6) * factor) >> 32;
}

/* Pending opens of a descriptor table: 0 lets a close, an exit and an exec leave at once. */
static __always_inline u32 *table_count(u64 files)
{
	u32 index = hash_address(files, 0x9e3779b97f4a7c15ULL) & (TABLE_COUNTS - 1);

	return bpf_map_lookup_elem(&table_counts, &index);
}

static __always_inline bool table_has_pending(u64 files)
{
	u32 *value = table_count(files);

	return value && *value;
}

#endif
