/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* System call numbers and registers of the architecture. */
#ifndef FDSPAN_SYSCALLS_BPF_H
#define FDSPAN_SYSCALLS_BPF_H

#include "reading.bpf.h"

#if defined(__TARGET_ARCH_x86)

enum {
	NR_OPEN = 2,
	NR_CLOSE = 3,
	NR_DUP = 32,
	NR_DUP2 = 33,
	NR_FCNTL = 72,
	NR_CREAT = 85,
	NR_OPENAT = 257,
	NR_DUP3 = 292,
	NR_OPEN_BY_HANDLE_AT = 304,
	NR_CLOSE_RANGE = 436,
	NR_OPENAT2 = 437,
	/* i386's numbers of the same calls */
	COMPAT_OPEN = 5,
	COMPAT_CREAT = 8,
	COMPAT_OPENAT = 295,
	COMPAT_OPEN_BY_HANDLE_AT = 342,
	COMPAT_OPENAT2 = 437,
};

#define TS_COMPAT 2

static __always_inline bool is_compat(u64 task)
{
	return READ(task_struct, task, thread_info.status) & TS_COMPAT;
}

#define SYSCALL_NUMBER(regs) ((long)READ(pt_regs, regs, orig_ax))
#define ARGUMENT_0(regs)     READ(pt_regs, regs, di)
#define ARGUMENT_1(regs)     READ(pt_regs, regs, si)
#define ARGUMENT_2(regs)     READ(pt_regs, regs, dx)

#else

enum {
	NR_DUP = 23,
	NR_DUP3 = 24,
	NR_FCNTL = 25,
	NR_OPENAT = 56,
	NR_CLOSE = 57,
	NR_OPEN_BY_HANDLE_AT = 265,
	NR_CLOSE_RANGE = 436,
	NR_OPENAT2 = 437,
	/* Calls that arm64 doesn't have; numbers that no call has */
	NR_OPEN = 0x10001,
	NR_DUP2 = 0x10002,
	NR_CREAT = 0x10003,
	/* AArch32's numbers of the same calls */
	COMPAT_OPEN = 5,
	COMPAT_CREAT = 8,
	COMPAT_OPENAT = 322,
	COMPAT_OPEN_BY_HANDLE_AT = 371,
	COMPAT_OPENAT2 = 437,
};

#define TIF_32BIT	     (1UL << 22)

static __always_inline bool is_compat(u64 task)
{
	return READ(task_struct, task, thread_info.flags) & TIF_32BIT;
}

#define SYSCALL_NUMBER(regs) ((long)READ(pt_regs, regs, syscallno))
/* x0 holds the result at exit, so the first argument comes from orig_x0. */
#define ARGUMENT_0(regs)     READ(pt_regs, regs, orig_x0)
#define ARGUMENT_1(regs)     read_word(ADDRESS(pt_regs, regs, regs) + 8)
#define ARGUMENT_2(regs)     read_word(ADDRESS(pt_regs, regs, regs) + 16)

#endif

#define F_DUPFD		    0
#define F_DUPFD_CLOEXEC	    1030
#define CLOSE_RANGE_UNSHARE 2
#define CLOSE_RANGE_CLOEXEC 4
#define AT_FDCWD	    -100
#define EINTR		    4

/* The kernel's own errnos for calls that it restarts after a signal. */
#define ERESTARTSYS	      512
#define ERESTARTNOINTR	      513
#define ERESTARTNOHAND	      514
#define ERESTART_RESTARTBLOCK 516
#define SA_RESTART	      0x10000000UL

static __always_inline bool is_open_call(u32 number)
{
	return number == NR_OPENAT || number == NR_OPEN || number == NR_OPENAT2 ||
	       number == NR_CREAT || number == NR_OPEN_BY_HANDLE_AT;
}

#endif
