/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The known workload of the kernel tests: what a scenario writes down about each open and close it
 * makes. What it knows comes from its own calls, /proc/self/fd and the clock, never from fdspan.
 */
#ifndef FDSPAN_WORKLOAD_H
#define FDSPAN_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

/* One span that fdspan must send. Lives in memory shared with every forked process. */
struct expected {
	const char *path; /* as /proc/self/fd names it right after the open */
	size_t path_bytes;
	const char *how;    /* the way it was opened, for messages */
	const char *reason; /* NULL: nobody has closed it yet */
	int pid, tid, fd, flags;
	int error;	   /* errno of a failed open, else 0 */
	int adopted;	   /* open before the collector was ready */
	int from_argument; /* the path is the program's own, not the kernel's */
	uint64_t opened_before_ns, opened_after_ns; /* CLOCK_BOOTTIME around the open call */
	uint64_t closed_before_ns,
		closed_after_ns; /* around the closing call; after = 0: unbounded */
};

struct scenario {
	const char *name;
	void (*run)(int count);
	int prepares; /* run() itself calls wait_for_go() */
};

extern const struct scenario open_scenarios[], close_scenarios[], process_scenarios[],
	sharing_scenarios[], thread_scenarios[], special_scenarios[], mount_scenarios[],
	load_scenarios[], counted_scenarios[], io_scenarios[];
extern const char *scenario_name, *work_dir, *self_exe;
extern char **extra_args;
extern int extra_count;

/* report.c */
void report_init(void);
void report_print(void);
uint64_t boot_ns(void);
/* Wall clock minus boot clock in nanoseconds, by the narrowest of many readings. */
void print_clock_offset(void);
char *keep_string(const char *text, size_t bytes);
char *format(const char *pattern, ...) __attribute__((format(printf, 1, 2)));
void print_bytes(const char *bytes, size_t count);
_Noreturn void die(const char *what);
_Noreturn void skip(const char *reason);
int must(long result, const char *what);

/* Marks the start of an open call of this thread; `how` is a constant string. */
struct expected *open_begins(const char *how, int flags);
/* Takes the call's result; reads the path of the descriptor. Returns fd. */
int open_ended(struct expected *entry, int fd);
/* Takes the result of an open that must fail with `error`; `path` is what fdspan must say. */
void open_failed(struct expected *entry, int fd, int error, const char *path);
void close_begins(struct expected *entry);
void close_ended(struct expected *entry, const char *reason);
/* Drops the entry: nothing is expected of this open. */
void forget(struct expected *entry);

/* files.c */
/* Makes a regular file in the work directory without an open (mknod) and returns its path. */
char *make_file(const char *label, int index);
char *make_file_at(const char *path);
/* open(2) of `path`, written down; the entry goes to *entry. */
int open_traced(const char *path, int flags, struct expected **entry);
/* A new file, opened. */
int open_new(const char *label, int index, int flags, struct expected **entry);
void close_traced(int fd, struct expected *entry);
/* Both at once, written down. */
void open_and_close(const char *path, int flags);
void wait_for_child(int pid);
void wait_for_go(void);
/* Runs this program's scenario "noop" in place of the process; returns only when that failed. */
void exec_noop(void);

#endif
