/* SPDX-License-Identifier: Apache-2.0 */
/* Ends that a process makes as a whole: exec, exit, a signal, with and without threads. */
#define _GNU_SOURCE
#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CORE_BYTES_MAX (1 << 20)
#define CORE_SIBLINGS  3
#define CORE_FILES     3

enum exec_case { EXEC_CLOEXEC, EXEC_KEPT, EXEC_FCNTL, EXEC_RANGE, EXEC_DUPLICATE, EXEC_CASES };

static void mark_close_on_exec(int fd, enum exec_case how)
{
	if (how == EXEC_FCNTL)
		must(fcntl(fd, F_SETFD, FD_CLOEXEC), "fcntl");
	if (how == EXEC_RANGE)
		must(syscall(SYS_close_range, fd, fd, CLOSE_RANGE_CLOEXEC), "close_range");
	if (how == EXEC_DUPLICATE)
		must(dup(fd), "dup");
}

static void exec_once(int index, enum exec_case how)
{
	int flags = how == EXEC_CLOEXEC || how == EXEC_DUPLICATE ? O_RDONLY | O_CLOEXEC : O_RDONLY;
	char *path = make_file("exec", index * EXEC_CASES + (int)how);
	struct expected *entry = open_begins("openat", flags);
	int pid = must(fork(), "fork");

	if (pid == 0) {
		entry->pid = entry->tid = getpid();
		int fd = open_ended(entry, openat(AT_FDCWD, path, flags));

		mark_close_on_exec(fd, how);
		char *nothing[] = { NULL };

		if (execve("/nonexistent", nothing, nothing) == 0)
			die("execve of nothing");
		close_begins(entry);
		exec_noop();
		die("execve");
	}
	wait_for_child(pid);
	/* What isn't closed by the exec ends with the program that was executed. */
	close_ended(entry, how == EXEC_KEPT || how == EXEC_DUPLICATE ? "exit" : "exec");
}

static void execs(int count)
{
	for (int i = 0; i < count; i++)
		for (int how = 0; how < EXEC_CASES; how++)
			exec_once(i, (enum exec_case)how);
}

static void exits(int count)
{
	for (int i = 0; i < count; i++) {
		char *path = make_file("exit", i);
		struct expected *entry = open_begins("openat", O_RDWR);
		int pid = must(fork(), "fork");

		if (pid == 0) {
			entry->pid = entry->tid = getpid();
			open_ended(entry, openat(AT_FDCWD, path, O_RDWR));
			close_begins(entry);
			_exit(0);
		}
		wait_for_child(pid);
		close_ended(entry, "exit");
	}
}

static void *wait_for_ever(void *argument)
{
	(void)argument;
	for (;;)
		pause();
	return NULL;
}

static void *exit_group_at_once(void *entry)
{
	close_begins(entry);
	syscall(SYS_exit_group, 0);
	return NULL;
}

/* A process of two threads with one file open, ended by exit_group from the second or by SIGKILL. */
static void end_of_threads(const char *path, int killed)
{
	int ends[2];
	char byte = 0;
	struct expected *entry = open_begins("openat", O_RDONLY);

	must(pipe(ends), "pipe");
	int pid = must(fork(), "fork");

	if (pid == 0) {
		pthread_t thread;

		entry->pid = entry->tid = getpid();
		entry->opened_before_ns = boot_ns();
		open_ended(entry, openat(AT_FDCWD, path, O_RDONLY));
		if (pthread_create(&thread, NULL, killed ? wait_for_ever : exit_group_at_once,
				   entry))
			die("pthread_create");
		must(write(ends[1], &byte, 1), "write");
		wait_for_ever(NULL);
	}
	must(close(ends[1]), "close");
	/* The end may come before the byte: exit_group races with the write, on purpose. */
	must(read(ends[0], &byte, 1), "read");
	if (killed) {
		close_begins(entry);
		must(kill(pid, SIGKILL), "kill");
	}
	must(waitpid(pid, NULL, 0), "waitpid");
	close_ended(entry, "exit");
	must(close(ends[0]), "close");
}

static void group_exits(int count)
{
	char *path = make_file("group", 0);

	for (int i = 0; i < count; i++)
		end_of_threads(path, 0);
}

static void kills(int count)
{
	char *path = make_file("killed", 0);

	for (int i = 0; i < count; i++)
		end_of_threads(path, 1);
}

static void *raise_fatal(void *argument)
{
	raise(*(int *)argument);
	return NULL;
}

/*
 * Dies by a signal that dumps core, with several threads and the files open: while the core is written
 * the dumping thread has a table of its own, and the table that the opens went into is its siblings'.
 */
_Noreturn static void die_with_core(int by_leader, int fatal)
{
	/* Enough for a core of any size class to be begun; the rest of it is of no use here. */
	struct rlimit limit = { CORE_BYTES_MAX, CORE_BYTES_MAX };
	pthread_t thread;

	must(chdir(work_dir), "chdir");
	must(setrlimit(RLIMIT_CORE, &limit), "setrlimit");
	for (int i = 0; i < CORE_SIBLINGS; i++)
		if (pthread_create(&thread, NULL, wait_for_ever, NULL))
			die("pthread_create");
	if (by_leader)
		raise(fatal);
	else if (pthread_create(&thread, NULL, raise_fatal, &fatal))
		die("pthread_create");
	wait_for_ever(NULL);
	die("survived a fatal signal");
}

static void core_dumps(int count)
{
	for (int i = 0; i < count; i++) {
		struct expected *entries[CORE_FILES];
		char *paths[CORE_FILES];
		int status;

		for (int file = 0; file < CORE_FILES; file++) {
			paths[file] = make_file("dumped", i * CORE_FILES + file);
			entries[file] = open_begins("openat", O_RDONLY);
		}
		int pid = must(fork(), "fork");

		if (pid == 0) {
			for (int file = 0; file < CORE_FILES; file++) {
				entries[file]->pid = entries[file]->tid = getpid();
				entries[file]->opened_before_ns = boot_ns();
				open_ended(entries[file], openat(AT_FDCWD, paths[file], O_RDONLY));
			}
			for (int file = 0; file < CORE_FILES; file++)
				close_begins(entries[file]);
			die_with_core(i % 2, i % 3 ? SIGSEGV : SIGABRT);
		}
		must(waitpid(pid, &status, 0), "waitpid");
		if (!WIFSIGNALED(status))
			die("a process survived a fatal signal");
		if (!WCOREDUMP(status))
			skip("no core is written here: see core_pattern in core(5)");
		for (int file = 0; file < CORE_FILES; file++)
			close_ended(entries[file], "exit");
	}
}

/* The leader ends first (pthread_exit), the other thread closes: the leader's exit isn't an end. */
static void *outlive_leader(void *argument)
{
	struct expected *entry = argument;

	usleep(1000);
	close_traced(entry->fd, entry);
	_exit(0);
}

static void leader_exits(int count)
{
	for (int i = 0; i < count; i++) {
		char *path = make_file("leader", i);
		struct expected *entry = open_begins("openat", O_RDONLY);
		int pid = must(fork(), "fork");

		if (pid == 0) {
			pthread_t thread;

			entry->pid = entry->tid = getpid();
			open_ended(entry, openat(AT_FDCWD, path, O_RDONLY));
			if (pthread_create(&thread, NULL, outlive_leader, entry))
				die("pthread_create");
			syscall(SYS_exit, 0);
		}
		wait_for_child(pid);
	}
}

/* A child with this number, if the kernel gives it; 0: any. */
static int fork_as(int pid)
{
	struct clone_args arguments = {
		.exit_signal = SIGCHLD,
		.set_tid = pid ? (uint64_t)(uintptr_t)&pid : 0,
		.set_tid_size = pid ? 1 : 0,
	};
	int made = syscall(SYS_clone3, &arguments, sizeof(arguments));

	if (made < 0 && (errno == EPERM || errno == ENOSYS))
		skip("a process may not choose its number here: clone3(2)");
	return must(made, "clone3");
}

/* Opens a file of a child's own; the entry is the parent's, who ends it where the child leaves it open. */
static int open_in(struct expected *entry, const char *path)
{
	entry->pid = entry->tid = (int)syscall(SYS_getpid);
	entry->opened_before_ns = boot_ns();
	return open_ended(entry, openat(AT_FDCWD, path, O_RDONLY));
}

/* COUNT processes one after the other that all have one number, and files that all have one descriptor. */
static void pid_reuse(int count)
{
	int reused = 0;

	for (int i = 0; i < count; i++) {
		char *paths[] = { make_file("reused", i * 2), make_file("reused", i * 2 + 1) };
		struct expected *closed = open_begins("openat", O_RDONLY);
		struct expected *left = open_begins("openat", O_RDONLY);
		int pid = fork_as(reused);

		if (pid == 0) {
			close_traced(open_in(closed, paths[0]), closed);
			open_in(left, paths[1]);
			close_begins(left);
			_exit(0);
		}
		wait_for_child(pid);
		close_ended(left, "exit");
		reused = pid;
	}
}

const struct scenario process_scenarios[] = {
	{ "execs", execs, 0 },
	{ "exits", exits, 0 },
	{ "group-exits", group_exits, 0 },
	{ "kills", kills, 0 },
	{ "core-dumps", core_dumps, 0 },
	{ "leader-exits", leader_exits, 0 },
	{ "pid-reuse", pid_reuse, 0 },
	{ 0 },
};
