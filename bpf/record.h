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
	RECORD_SLICE_ENDED = 6,
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
	CLOSE_HELD = 8, /* still open: a report, apart from the pair */
};

enum pair_flag {
	PAIR_PATH_TRUNCATED = 1 << 0, /* the tail was kept */
	PAIR_PATH_RENAMED = 1 << 1,   /* a rename was seen during both walks */
	PAIR_ADOPTED = 1 << 2,	      /* open before fdspan started */
	PAIR_START_MISSED = 1 << 3,   /* opened_boot_ns is the exit of the open call */
	PAIR_RUNTIME_PHASE = 1 << 4,  /* opened by the container runtime, before exec */
	PAIR_DELETED = 1 << 5,	      /* the path ends in " (deleted)", put there by fdspan */
	PAIR_RULES = 3 << 9,	      /* with PAIR_UNJUDGED: of struct sampling's `half` at the open */
	PAIR_UNSAMPLED = 1 << 12,     /* only while open: dropped at its end unless its class is kept then */
	PAIR_UNJUDGED = 1 << 13,      /* the container had no verdict at open: user space samples it */
	PAIR_SLICE_CUT = 1 << 14,     /* others of its slice were lost by no chance: nothing to extrapolate */
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
	VERDICT_IGNORE = 1,   /* no container's; not kept of groups, where unknown means it */
	VERDICT_DENY = 2,     /* a container that must not be traced */
	VERDICT_UNJUDGED = 3, /* traced; its records wait in user space */
	VERDICT_TRACE = 4,
	VERDICT_UNTOLD = 5, /* unjudged; RECORD_NAMESPACE_MET goes out at its next open */
	VERDICT_INHERITED = 6, /* traced as the container that the new group was made in; not judged yet */
};

/* A judged container's slot, above its verdict in the same word: both change by one store. */
#define VERDICT_SLOT_SHIFT 8

/* Value of the policy map; its key is the scope (u64). */
struct scope_policy {
	__u64 container; /* the scope of the container that the group belongs to */
	__u32 verdict;	 /* enum scope_verdict | slot << VERDICT_SLOT_SHIFT (TRACE and INHERITED only) */
	__u32 described; /* mount namespace told by RECORD_SCOPE_DESCRIBED; 0: not yet; 1: to be told again */
};

#define EXCLUDED_MAGICS_MAX 32
#define USER_RANGES_MAX	    32
#define ERRNO_WORDS	    3 /* errnos 0 to 191 */
#define MAGIC_FACTOR	    0x9e3779b97f4a7c15ULL

/* Set before load, constant after it (section .rodata.settings). */
struct settings {
	__u64 wake_bytes;	/* a quarter of the ring */
	__u64 wake_step_bytes;	/* wake again at each further step */
	__u64 fill_check_bytes; /* sent by one CPU between two looks at the fill */
	__u32 bucket_mask;    /* buckets of the open table - 1, a power of two - 1 */
	__u32 start_mask;     /* entries of the start table - 1 */
	__u32 host_mnt_ns;    /* inode */
	__s32 cgroup1_subsys; /* index in css_set.subsys of the v1 hierarchy; -1: none */
	__u32 host_pid_ns;    /* inode */
	__u8 scope_by;	 /* SCOPE_CGROUP2: control groups of both kinds; or a kind of namespace */
	__u8 by_cgroup2; /* of namespaces, this and cgroup1_subsys only name the groups */
	__u8 trace_host;
	__u8 runtime_phase; /* trace what the runtime opens before exec */
	__u8 group_by;	    /* enum trace_group */
	__u8 reserved[3];
	__u64 boot_secret;	/* hashed into executions: nobody chooses their own randomness */
	__u64 slice_ns;		/* trace.window */
	__u32 slice_opens_max; /* trace.spans_max */
	__u32 slice_mask;	/* sets of the table of slices - 1 */
};

#define SAMPLING_RULES_MAX 32
#define SAMPLING_ACCESSES  4
#define SAMPLING_NEVER	   0xffffffff /* a threshold that no randomness reaches */
#define SAMPLING_STRIPES   4	      /* CPUs that count apart */
#define SAMPLING_WEIGHT	   65536      /* of one open that no rule thins out */

#define PAIR_RULES_SHIFT 9 /* of PAIR_RULES */

/* Classes that are sent whatever was drawn at open: bits of struct sampling's `keep`. */
enum sampling_keep {
	KEEP_FAILED = 1 << 0,
	KEEP_HELD = 1 << 1,
	KEEP_SLOW = 1 << 2,
};

/* The rules of one configuration; bit n of a mask is rule n. */
struct sampling_rules {
	__u32 base;			     /* threshold where no rule matches */
	__u32 by_access[SAMPLING_ACCESSES]; /* rules that agree, by O_ACCMODE */
	__u32 by_path;			     /* rules that ask for the path */
	__u32 by_process;		     /* rules that ask for the executable's name */
	__u32 reserved;
	__u32 thresholds[SAMPLING_RULES_MAX];
};

/* How to sample, mapped by user space, which may change it at any time by one store for each word. */
struct sampling {
	__u32 is_on;	      /* 0: all is sampled, nothing is counted */
	__u32 half;	      /* grows with each change; its lowest bit: of `rules` and of each slot's masks, in force */
	__u32 host_threshold; /* met or raised by each open, for sampling.target.host */
	__u32 keep;	      /* enum sampling_keep */
	__u64 slow_ns;	      /* KEEP_SLOW: open for longer */
	__u32 is_counted;     /* a target needs the counts of the slots */
	__u32 is_early;	      /* the draw needs nothing of the record, which then isn't written in vain */
	__u32 is_tracked;     /* what is sampled out is tracked all the same, for what its end tells */
	__u32 reserved;
	struct sampling_rules rules[2];
};

/* By container slot: struct sampling's rules that the container agrees with, and its own threshold. */
struct slot_sampling {
	__u32 threshold; /* for sampling.target.container */
	__u32 reserved;
	__u32 rules[2];
};

/* Opens of one slot and some CPUs; they only grow. */
struct slot_offers {
	__u64 opens;
	__u64 weight; /* what rules and ratio let through of them, in SAMPLING_WEIGHT */
	__u64 passed; /* sampled, and not left out by a filter */
	__u64 reserved[5];
};

/*
 * What user space changes while the programs run (section .data.live), each scalar by one store. The maps that it
 * names a half of are written in their other half first.
 */
struct live_settings {
	__u64 min_duration_ns; /* shorter pairs are dropped at their close */
	__u32 filter_half;     /* of the map `filters`: 0 or 1 */
	__u32 reserved;
};

/*
 * All globs as one automaton over bytes (src/filter/glob-table.ts makes it). A row is a state: for each class of
 * bytes the next row, then the accept word, and the rules of sampling that agree. Rows and classes are offsets in bytes, so that a step is one addition and
 * one load. Reason of the limit: 1 MiB for each half; more globs than fit are a configuration error that says so.
 */
#define GLOB_CELLS 262144
/* A row has a cell for each of at most 256 classes, and two words: less than this. The kernel masks classes by it. */
#define GLOB_ROW_BYTES_MAX 2048

/* Bits of accept words: what a name or path that ends in this state matches. */
enum glob_accepts {
	ACCEPTS_PATH_EXCLUDE = 1 << 0,
	ACCEPTS_PATH_INCLUDE = 1 << 1,
	ACCEPTS_NAME_EXCLUDE = 1 << 2,
};

/* What is to be asked at all. */
enum glob_asked {
	ASKED_PATH = 1 << 0,
	ASKED_INCLUDE = 1 << 1, /* a path that no include glob matches is left out */
	ASKED_NAME = 1 << 2,
};

/* Values of fdspan.access. */
enum access {
	ACCESS_READ = 0,
	ACCESS_WRITE = 1,
	ACCESS_READ_WRITE = 2,
	ACCESS_NONE = 3, /* ioctl only */
	ACCESS_PATH = 4, /* O_PATH */
};

struct user_range {
	__u32 first;
	__u32 last;
};

/* Value of the map `filters`, which has two halves. */
struct filters {
	__u64 failed_errnos[ERRNO_WORDS]; /* bit per errno whose failed opens are told */
	__u64 magic_filter;		  /* bit (magic * MAGIC_FACTOR) >> 58 of each excluded magic */
	__u32 file_types;		  /* bit per S_IFMT >> 12 */
	__u32 access;			  /* bit per enum access */
	__u32 asked;			  /* enum glob_asked */
	__u32 user_range_count;		  /* 0: all users */
	__u32 excluded_magic_count;
	__u32 name_row;	     /* where names begin; paths begin at row 0 */
	__u32 cut_path_row;  /* where a path begins whose head was cut */
	__u32 accept_column; /* of each row */
	__u32 rules_column;  /* of each row: the rules of sampling that a path or name ending there agrees with */
	__u32 reserved;
	__u64 excluded_magics[EXCLUDED_MAGICS_MAX]; /* file systems' s_magic */
	struct user_range users[USER_RANGES_MAX];
	__u16 classes[256]; /* of each byte: an offset in a row */
	__u32 cells[GLOB_CELLS + GLOB_ROW_BYTES_MAX / 4]; /* the rest is padding, which no row reaches */
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

struct expire_arguments {
	__u64 begun_until_boot_ns; /* slices begun until then have ended */
};

/* The part of the table that one run looks at, and what it found. */
struct held_arguments {
	__u64 after_ns; /* from the open to the first report */
	__u64 every_ns; /* from one report to the next; 0: there is no second */
	__u32 first_bucket;
	__u32 buckets;
	__u32 reports_max; /* made by one run; `next_bucket` is then where the next run goes on */
	__u32 next_bucket; /* out */
	__u64 due_boot_ns; /* out: when the next report of those looked at is due; ~0: never */
	__u32 is_full;	   /* out: the ring had no place; the run ended */
	__u32 reserved;
};

/* One pending open, in front of its record, in the map `slots`. */
#define OWNED_DESCRIPTORS 4
#define RESTORES_MAX	  1024 /* of one run */
#define SLOT_TAIL_BYTES	  200
#define SLOT_BYTES	  448
#define BUCKET_TAGS	  8

/* What list_open_files gives of each pending open, before its record and names as in the ring. */
struct open_file {
	__u32 length; /* bytes of all of it, a multiple of 8 */
	__u32 generation;
	__u32 is_many; /* it has more descriptors than these */
	__u32 is_deleted; /* now */
	__u64 descriptors[OWNED_DESCRIPTORS]; /* generation << 32 | number; other generations: none */
};

/* What tells an open file from all others of this boot; the same for the next fdspan, given the same key. */
struct open_identity {
	__u64 identity;
	__u64 opened_boot_ns;
	__u64 reported_boot_ns;
	__u32 index; /* of its slot */
	__u32 flags; /* enum pair_flag */
};

/* What an earlier fdspan knew of an adopted file. */
struct open_restore {
	__u64 adopted_boot_ns; /* as listed: of another file in this slot it differs */
	__u64 opened_boot_ns;
	__u64 reported_boot_ns;
	__u32 index;
	__u32 is_adopted; /* by that one too: the time stays a lower bound */
};

struct restore_arguments {
	__u32 count; /* of the entries in the map `restores` */
	__u32 restored; /* out */
};

/* A portion of the table of pending opens. */
struct buckets_arguments {
	__u32 first;
	__u32 count;
};

#define FAILURE_CLASSES	 32 /* a power of two; 0: any errno that has none of its own */
#define DURATION_BUCKETS 16 /* a power of two */
#define METRICS_STRIPES	 4
#define EARLY_METRICS	 1024

/* What is counted for a container; everything only grows. */
struct container_metrics {
	__u64 opens[8]; /* by enum access; behind the filters, before sampling */
	__u64 failures[FAILURE_CLASSES];
	__u64 durations[DURATION_BUCKETS];
	__u64 duration_ns; /* their sum */
	__u64 files_met;   /* in passes over the table: a pass adds the files that are open */
	__u64 is_closed;   /* of an entry of early_metrics: nothing is counted there any more */
	__u64 reserved[5];
};

/* Argument of close_early: the scope whose entry is closed. */
struct close_arguments {
	__u64 scope;
};

/* Set before load, constant after it (section .rodata.metrics). */
struct metrics_settings {
	__u64 duration_bounds[DURATION_BUCKETS]; /* ns, inclusive; the last has none */
	__u8 failure_classes[ERRNO_WORDS * 64];	 /* by errno */
	__u32 is_on;
	__u32 stripes; /* of each slot: a power of two */
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

/* Of host.bpf.c: inodes of process 1's. */
struct host_namespaces {
	__u32 mnt;
	__u32 pid;
};

/* Of filter-test.bpf.c. */
struct walk_arguments {
	__u64 text; /* address in the calling process */
	__u32 bytes_count;
	__u32 base; /* where the text is put in the tail */
	__u32 row;  /* where the walk begins */
	__u32 is_long;
	__u32 accepts; /* the answer */
	__u32 reserved;
};

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
	__u64 open_duration_ns; /* time in the open call, 0 when its start was missed; CLOSE_HELD: since it */
	__u64 execution;	 /* hash of the process execution, or of the container: what traces are made of */
	__u64 slice_begun_boot_ns; /* of the slice that the open is in */
	__u64 inode;
	__u64 size_bytes;    /* of the file, at close; 0 when not known */
	__u64 bytes_read;    /* through the file; with io_totals */
	__u64 bytes_written;
	__u32 reads; /* calls */
	__u32 writes;
	__u32 random;	 /* the 32 highest of R's 56 bits: the same for all of a slice */
	__u32 threshold; /* likewise of th: sampled if random >= threshold. PAIR_UNJUDGED: the rules that its names agree with */
	__u32 pid;
	__u32 tid;
	__u32 vpid; /* pid in its own pid namespace */
	__u32 parent_pid;
	__u32 user_id;
	__s32 fd;	  /* what the open returned; negative: -errno */
	__u32 open_flags; /* O_* */
	__u32 mode;	  /* st_mode; 0 for a failed open */
	__u32 device;	  /* kernel's dev_t: major << 20 | minor */
	__u32 namespaces[NS_COUNT];
	char comm[COMM_BYTES]; /* the thread's, NUL-padded */
};

enum trace_group {
	GROUP_BY_PROCESS = 0,
	GROUP_BY_CONTAINER = 1,
};

/* Why a slice ended. */
enum slice_end {
	SLICE_ROLLED = 1, /* its time or its number of opens was up */
	SLICE_EXEC = 2,
	SLICE_EXIT = 3,
	SLICE_REPLACED = 4, /* its place in the table was needed */
};

/* What only the kernel knows of a slice of which a file was tracked or left out by a filter. Its opens may end later. */
struct slice_record {
	__u8 kind;
	__u8 reason; /* enum slice_end */
	__u8 reserved[2];
	__u32 pid;   /* 0: the slice of a container */
	__u64 scope; /* at the place that a pair has it */
	__u64 execution;
	__u64 begun_boot_ns;
	__u64 ended_boot_ns;
	__u32 opens;	 /* in scope, behind the filters */
	__u32 unsampled; /* of them */
	__u32 dropped;	 /* of them: no place in the table or the ring */
	__s32 exit_code; /* SLICE_EXIT: as wait(2) gives it */
	__u32 filtered;	 /* left out by globs, or too short */
	__u32 reserved2;
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
	COUNTER_SLICE_RECORDS_LOST = 15, /* ring full for a slice's record */
	COUNTER_PATH_EXCLUDED = 16,
	COUNTER_PROCESS_EXCLUDED = 17, /* by its name or user */
	COUNTER_TOO_SHORT = 18,
	COUNTER_METRICS_MISSED = 19,	 /* opens and ends that no container's metrics hold */
	COUNTER_HELD_SPANS_SENT = 20,	 /* reports of files that are still open, apart from their pairs */
	COUNTER_HELD_RING_FULL = 21,	 /* reports that the ring had no place for; made again later */
	COUNTER_UNSAMPLED_FINISHED = 22, /* pairs among pairs_finished that sampling drops at their end */
	COUNTER_COUNT = 23,
};

_Static_assert(sizeof(struct pair_record) == 184, "pair_record is shared with user space");
_Static_assert(sizeof(struct scope_created_record) == 32, "scope_created_record is shared");
_Static_assert(sizeof(struct scope_removed_record) == 16, "scope_removed_record is shared");
_Static_assert(sizeof(struct scope_described_record) == 136, "scope_described_record is shared");
_Static_assert(sizeof(struct slice_record) == 64, "slice_record is shared with user space");
_Static_assert(sizeof(struct slot_sampling) == 16, "slot_sampling is shared with user space");
_Static_assert(sizeof(struct slot_offers) == 64, "one cache line");
_Static_assert(sizeof(struct open_file) % 8 == 0, "the record that follows is aligned");
_Static_assert(sizeof(struct open_identity) == 32, "open_identity is shared with user space");
_Static_assert(sizeof(struct open_restore) == 32, "open_restore is shared with user space");
_Static_assert(offsetof(struct slice_record, scope) == offsetof(struct pair_record, scope),
	       "both wait for the verdict of their scope");
_Static_assert(sizeof(struct container_metrics) == 512, "eight cache lines");
_Static_assert(sizeof(struct scope_policy) == 16, "scope_policy is shared with user space");

#endif
