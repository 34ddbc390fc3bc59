/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Bytes and calls through each open file, added to its pair's record at the end of the call. Whoever reads or writes
 * through the file is counted, also a child that inherited the descriptor. Part of sys_exit: a program of its own there
 * would cost every call of the host 75 ns. Where it isn't asked for, the kernel leaves its code out when it loads.
 */
#ifndef FDSPAN_IO_TOTALS_BPF_H
#define FDSPAN_IO_TOTALS_BPF_H

#include "descriptors.bpf.h"
#include "syscalls.bpf.h"

/* User space sets it before load. A section of its own: it is known to the verifier then. */
const volatile u32 has_io_totals SEC(".rodata.io_totals") = 0;

#if defined(__TARGET_ARCH_x86)

enum {
	NR_READ = 0,
	NR_WRITE = 1,
	NR_PREAD64 = 17,
	NR_PWRITE64 = 18,
	NR_READV = 19,
	NR_WRITEV = 20,
	NR_SENDFILE = 40,
	NR_SPLICE = 275,
	NR_PREADV = 295,
	NR_PWRITEV = 296,
	NR_COPY_FILE_RANGE = 326,
	NR_PREADV2 = 327,
	NR_PWRITEV2 = 328,
};

#else

enum {
	NR_READ = 63,
	NR_WRITE = 64,
	NR_READV = 65,
	NR_WRITEV = 66,
	NR_PREAD64 = 67,
	NR_PWRITE64 = 68,
	NR_PREADV = 69,
	NR_PWRITEV = 70,
	NR_SENDFILE = 71,
	NR_SPLICE = 76,
	NR_COPY_FILE_RANGE = 285,
	NR_PREADV2 = 286,
	NR_PWRITEV2 = 287,
};

#endif

/* Calls stop to be counted near 2^32, a margin before it: that many processors may be between look and addition. */
#define CALLS_MAX 0xffff0000U

static __always_inline void add_io(u64 files, u32 descriptor, u64 bytes, bool is_read)
{
	u64 file = file_at(files, descriptor);
	struct pair_record *record;
	struct found found;

	if (!find_pending(file, &found))
		return;
	record = record_of(found.slot);
	/* Read after the record was found: the slot must still be this file's. */
	if (!record || *(volatile u64 *)found.tag != file)
		return;
	__sync_fetch_and_add(is_read ? &record->bytes_read : &record->bytes_written, bytes);
	if ((is_read ? record->reads : record->writes) < CALLS_MAX)
		__sync_fetch_and_add(is_read ? &record->reads : &record->writes, 1);
}

static __noinline int add_read(u64 files, u32 descriptor, u64 bytes)
{
	add_io(files, descriptor, bytes, true);
	return 0;
}

static __noinline int add_written(u64 files, u32 descriptor, u64 bytes)
{
	add_io(files, descriptor, bytes, false);
	return 0;
}

/* The end of a call that isn't an open's, a close's or a duplicate's. */
static __always_inline void exit_io(struct pt_regs *regs, u32 number, long result)
{
	u64 task, files;

	if (result < 0)
		return;
	switch (number) {
	case NR_READ:
	case NR_PREAD64:
	case NR_READV:
	case NR_PREADV:
	case NR_PREADV2:
	case NR_WRITE:
	case NR_PWRITE64:
	case NR_WRITEV:
	case NR_PWRITEV:
	case NR_PWRITEV2:
	case NR_SENDFILE:
	case NR_SPLICE:
	case NR_COPY_FILE_RANGE:
		break;
	default:
		return;
	}
	task = bpf_get_current_task();
	if (is_compat(task))
		return;
	files = WORD(task_struct, task, files);
	switch (number) {
	case NR_READ:
	case NR_PREAD64:
	case NR_READV:
	case NR_PREADV:
	case NR_PREADV2:
		add_read(files, ARGUMENT_0(regs), result);
		break;
	case NR_SENDFILE:
		add_read(files, ARGUMENT_1(regs), result);
		add_written(files, ARGUMENT_0(regs), result);
		break;
	case NR_SPLICE:
	case NR_COPY_FILE_RANGE:
		add_read(files, ARGUMENT_0(regs), result);
		add_written(files, ARGUMENT_2(regs), result);
		break;
	default:
		add_written(files, ARGUMENT_0(regs), result);
	}
}

#endif
