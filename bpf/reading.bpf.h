/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Reading kernel memory. Addresses are plain u64. bpf_rdonly_cast() (6.2+) makes each read one
 * load that gives 0 on a bad address; the other build (FDSPAN_PROBE_READS) calls a helper.
 */
#ifndef FDSPAN_READING_BPF_H
#define FDSPAN_READING_BPF_H

#include "kernel-types.bpf.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define OFFSET(type, field)	      __builtin_preserve_field_info(((struct type *)0)->field, 0)
#define ADDRESS(type, address, field) ((u64)(address) + OFFSET(type, field))

#ifdef FDSPAN_PROBE_READS

#define READ(type, address, field)                                                                 \
	({                                                                                         \
		typeof(((struct type *)0)->field) value__ = 0;                                     \
		bpf_probe_read_kernel(&value__, sizeof(value__),                                   \
				      (void *)ADDRESS(type, address, field));                      \
		value__;                                                                           \
	})

static __always_inline u64 read_word(u64 address)
{
	u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), (void *)address);
	return value;
}

#else

extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym;

#define READ(type, address, field)                                                                 \
	(((struct type *)bpf_rdonly_cast((const void *)(address),                                  \
					 bpf_core_type_id_kernel(struct type)))                    \
		 ->field)

static __always_inline u64 read_word(u64 address)
{
	return READ(timespec64, address, tv_sec);
}

#endif

/* A pointer (or another 64-bit field) as a plain number, fit for arithmetic. */
#define WORD(type, address, field) read_word(ADDRESS(type, address, field))

/* An iterator's typed pointer as a plain number: the verifier forbids arithmetic on the pointer. */
static __always_inline u64 address_of(const void *pointer)
{
	const void *kept = pointer;
	u64 address = 0;

	bpf_probe_read_kernel(&address, sizeof(address), &kept);
	return address;
}

/* Hides a value from the compiler, so that the bound just checked is the one the verifier sees. */
#define BARRIER(value) asm volatile("" : "+r"(value))

/* A word to any place of a byte array. Without the barrier clang would write it byte by byte, as one that isn't aligned. */
static __always_inline void write_word(u8 *place, u64 word)
{
	u64 *words = (u64 *)place;

	BARRIER(words);
	*words = word;
}

static __always_inline u64 word_at(const u8 *place)
{
	const u64 *words = (const u64 *)place;

	BARRIER(words);
	return *words;
}

#endif
