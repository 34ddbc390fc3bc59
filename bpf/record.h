/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What crosses from the kernel to user space: the records of the ring, the counters and the
 * policy map's values. `npm run generate` turns this file into src/model/record-layout.ts.
 *
 * "pid" is used here as in user space: the thread group's id (the kernel's tgid); "tid" is the
 * thread's (the kernel's pid).
 */
#ifndef FDSPAN_RECORD_H
#define FDSPAN_RECORD_H

/* Every record starts with its kind; the ring aligns each to 8 bytes. */
enum record_kind {
	RECORD_PAIR = 1,
	RECORD_SCOPE_CREATED = 2,
	RECORD_SCOPE_REMOVED = 3,
	RECORD_SCOPE_DESCRIBED = 4,
	RECORD_NAMESPACE_MET = 5,
};

/* The order is that of fdspan.close.reason in the documents. FAILED: the open itself failed. */
enum close_reason {
	CLOSE_FAILED = 0,
	CLOSE_CLOSE = 1,
	CLOSE_RANGE = 2,
	CLOSE_DUP = 3,
	CLOSE_EXEC = 4,
	CLOSE_EXIT = 5,
	CLOSE_STOP = 6,
	CLOSE_LOST = 7,
};

enum pair_flag {
	PAIR_PATH_TRUNCATED = 1 << 0, /* the tail was kept */
	PAIR_PATH_RENAMED = 1 << 1,   /* a rename was seen during both walks */
	PAIR_ADOPTED = 1 << 2,	      /* open before fdspan started */
	PAIR_START_MISSED = 1 << 3,   /* opened_boot_ns is the exit of the open call */
	PAIR_RUNTIME_PHASE = 1 << 4,  /* opened by the container runtime, before exec */
	PAIR_DELETED = 1 << 5,	      /* the path ends in " (deleted)", put there by fdspan */
};

/*
 * The scope's kind, in the two highest bits of a scope (bits 62 and 63). Of a namespace the lowest 32 bits are its
 * number; numbers are given again at once, and the 30 bits between tell two namespaces of one number apart.
 */
enum scope_kind {
	SCOPE_CGROUP2 = 0,
	SCOPE_CGROUP1 = 1,
	SCOPE_MNTNS = 2,
	SCOPE_PIDNS = 3,
};

/* What the policy map says of a scope. A scope that isn't in it is ignored. */
enum scope_verdict {
	VERDICT_IGNORE = 1,   /* not a container: another hierarchy may know it */
	VERDICT_DENY = 2,     /* a container that must not be traced */
	VERDICT_UNJUDGED = 3, /* traced; its records wait in user space */
	VERDICT_TRACE = 4,
	VERDICT_UNTOLD = 5, /* unjudged; RECORD_NAMESPACE_MET goes out at its next open */
	VERDICT_INHERITED = 6, /* traced as the container that the new group was made in; not judged yet */
};

/* Value of the policy map; its key is the scope (u64). */
struct scope_policy {
	__u64 container; /* the scope of the container that the group belongs to */
	__u32 verdict;
	__u32 described; /* mount namespace told by RECORD_SCOPE_DESCRIBED; 0: not yet; 1: to be told again */
};

#define EXCLUDED_MAGICS_MAX 32
#define ERRNO_WORDS	    3 /* errnos 0 to 191 */
#define MAGIC_FACTOR	    0x9e3779b97f4a7c15ULL

/* Set before load, constant after it (section .rodata.settings). */
struct settings {
	__u64 failed_errnos[ERRNO_WORDS];	    /* bit per errno whose failed opens are told */
	__u64 excluded_magics[EXCLUDED_MAGICS_MAX]; /* file systems' s_magic */
	__u64 magic_filter;	/* bit (magic * MAGIC_FACTOR) >> 58 of each of these */
	__u64 wake_bytes;	/* a quarter of the ring */
	__u64 wake_step_bytes;	/* wake again at each further step */
	__u64 fill_check_bytes; /* sent by one CPU between two looks at the fill */
	__u32 excluded_magic_count;
	__u32 file_types;     /* bit per S_IFMT >> 12 */
	__u32 bucket_mask;    /* buckets of the open table - 1, a power of two - 1 */
	__u32 start_mask;     /* entries of the start table - 1 */
	__u32 host_mnt_ns;    /* inode */
	__s32 cgroup1_subsys; /* index in css_set.subsys of the v1 hierarchy; -1: none */
	__u32 host_pid_ns;    /* inode */
	__u8 scope_by;	 /* SCOPE_CGROUP2: control groups of both kinds; or a kind of namespace */
	__u8 by_cgroup2; /* of namespaces, this and cgroup1_subsys only name the groups */
	__u8 trace_host;
	__u8 runtime_phase; /* trace what the runtime opens before exec */
};

/* Arguments of the programs that user space runs itself (BPF_PROG_TEST_RUN). */
struct judge_arguments {
	__u64 scope;
	__u64 container;
	__u32 verdict;	/* 0: forget the scope */
	__u32 only_new; /* 1: leave an entry that is there already */
};

struct sweep_arguments {
	__u64 opened_until_boot_ns; /* only pairs opened until then */
	__u32 first_bucket;
	__u32 buckets;
	__u32 reason; /* CLOSE_STOP, or CLOSE_LOST for those not seen in this epoch */
	__u32 epoch;
};

/* What the self-test does next, on the calling thread; in this order. */
enum self_test_step {
	SELF_TEST_OPENS = 0,
	SELF_TEST_CLOSES = 1, /* `fd`, which it has opened */
	SELF_TEST_ENDS = 2,
};

/* Calls of the self-test that no program saw. */
enum self_test_missed {
	MISSED_OPEN_ENTER = 1 << 0,
	MISSED_OPEN_EXIT = 1 << 1,
	MISSED_CLOSE_ENTER = 1 << 2,
};

struct self_test_arguments {
	__u32 step; /* enum self_test_step */
	__u32 fd;
};

/* One pending open, in front of its record, in the map `slots`. */
#define OWNED_DESCRIPTORS 4
#define SLOT_TAIL_BYTES	  168
#define SLOT_BYTES	  384
#define BUCKET_TAGS	  8

enum namespace_index {
	NS_MNT = 0,
	NS_PID = 1,
	NS_UTS = 2,
	NS_NET = 3,
	NS_IPC = 4,
	NS_USER = 5,
	NS_CGROUP = 6,
	NS_COUNT = 7,
};

#define COMM_BYTES	      16
#define EXECUTABLE_BYTES_MAX  255
#define PATH_BYTES_MAX	      4096
#define HOSTNAME_BYTES	      64
#define CGROUP_PATH_BYTES_MAX 1024 /* the kernel's buffer for cgroup tracepoints */

/*
 * One open with its close (or one failed open). The executable's name follows at once
 * (executable_bytes, no terminator), then the path (path_bytes, no terminator).
 */
struct pair_record {
	__u8 kind;
	__u8 reason; /* enum close_reason */
	__u16 flags; /* enum pair_flag */
	__u16 executable_bytes;
	__u16 path_bytes;
	__u64 scope;	      /* of the container */
	__u64 opened_boot_ns; /* entry of the open call */
	__u64 closed_boot_ns;
	__u64 open_duration_ns; /* time in the open call; 0 when its start was missed */
	__u64 process_started_boot_ns;
	__u64 inode;
	__u64 size_bytes; /* of the file, at close; 0 when not known */
	__u32 pid;
	__u32 tid;
	__u32 vpid; /* pid in its own pid namespace */
	__u32 parent_pid;
	__u32 user_id;
	__u32 exec_count; /* with pid and start: one process execution */
	__s32 fd;	  /* what the open returned; negative: -errno */
	__u32 open_flags; /* O_* */
	__u32 mode;	  /* st_mode; 0 for a failed open */
	__u32 device;	  /* kernel's dev_t: major << 20 | minor */
	__u32 namespaces[NS_COUNT];
	char comm[COMM_BYTES]; /* the thread's, NUL-padded */
	__u32 reserved;
};

/* A new control group. The path (path_bytes, from the hierarchy's root) follows. */
struct scope_created_record {
	__u8 kind;
	__u8 reserved[3];
	__u16 path_bytes;
	__u16 flags; /* PAIR_PATH_TRUNCATED */
	__u64 scope;
	__u64 container; /* the judged scope it inherits from, or the scope itself */
	__u32 verdict;	 /* what the policy map holds for it now */
	__u32 reserved2;
};

struct scope_removed_record {
	__u8 kind;
	__u8 reserved[7];
	__u64 scope;
};

/*
 * RECORD_SCOPE_DESCRIBED: the first process that a container executes (or one found at start).
 * RECORD_NAMESPACE_MET: a process in a namespace that no verdict is known of.
 */
struct scope_described_record {
	__u8 kind;
	__u8 reserved[3];
	__u32 pid;
	__u64 scope;
	__u64 process_started_boot_ns;
	__u64 cgroup2; /* scopes of the process's groups; 0: not watched */
	__u64 cgroup1;
	__u32 namespaces[NS_COUNT];
	__u32 reserved2;
	char hostname[HOSTNAME_BYTES]; /* NUL-padded */
};

/* Counters of the kernel stage, under the names that the documents use, in capitals. */
enum kernel_counter {
	COUNTER_OPENS_IN_SCOPE = 0,
	COUNTER_OPENS_TRACKED = 1,
	COUNTER_UNSAMPLED = 2,
	COUNTER_OPEN_TABLE_FULL = 3,
	COUNTER_PAIRS_FINISHED = 4,
	COUNTER_RING_FULL = 5,
	COUNTER_RECORDS_SENT = 6,
	COUNTER_PAIRS_LOST = 7,
	COUNTER_UNSEEN_IO_URING = 8,
	COUNTER_UNSEEN_COMPAT = 9,
	COUNTER_UNSEEN_RACE = 10,
	COUNTER_OPENS_FAILED = 11,	 /* failed opens among opens_tracked */
	COUNTER_PATHS_SHORTENED = 12,	 /* long path, but no long buffer was free */
	COUNTER_SCOPE_RECORDS_LOST = 13, /* ring full for a scope's record */
	COUNTER_SCOPE_TABLE_FULL = 14,
	COUNTER_COUNT = 15,
};

_Static_assert(sizeof(struct pair_record) == 152, "pair_record is shared with user space");
_Static_assert(sizeof(struct scope_created_record) == 32, "scope_created_record is shared");
_Static_assert(sizeof(struct scope_removed_record) == 16, "scope_removed_record is shared");
_Static_assert(sizeof(struct scope_described_record) == 136, "scope_described_record is shared");
_Static_assert(sizeof(struct scope_policy) == 16, "scope_policy is shared with user space");

#endif
