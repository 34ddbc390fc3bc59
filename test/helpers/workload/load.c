/* SPDX-License-Identifier: Apache-2.0 */
/* Loads too large to list span by span: totals are printed instead, one line for each thread. */
#define _GNU_SOURCE
#include "workload.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HAMMER_THREADS 8
#define HAMMER_FILES   7
#define HOLD_FILES     97
#define HOLD_SPARE     100	 /* descriptors that a process has besides */
#define HOLD_MAX       (1 << 20) /* what a kernel takes at most for one table, by default */

struct hammer {
	int number, opens;
	char *paths[HAMMER_FILES];
};

static void *hammer_thread(void *argument)
{
	struct hammer *own = argument;
	uint64_t before = boot_ns();

	for (int i = 0; i < own->opens; i++) {
		int fd = open(own->paths[i % HAMMER_FILES], O_RDONLY);

		if (fd < 0 || close(fd) < 0)
			die("hammer");
	}
	dprintf(1,
		"{\"thread\":%d,\"pid\":%d,\"tid\":%d,\"opens\":%d,\"prefix\":\"%s/hammer-%d-\",\"files\":%d,"
		"\"between\":[\"%llu\",\"%llu\"]}\n",
		own->number, getpid(), (int)syscall(SYS_gettid), own->opens, work_dir, own->number,
		HAMMER_FILES, (unsigned long long)before, (unsigned long long)boot_ns());
	return NULL;
}

/* COUNT opens by 8 threads of one table, so that numbers are reused at once; file k of a thread follows k - 1. */
static void hammer(int count)
{
	pthread_t threads[HAMMER_THREADS];
	struct hammer own[HAMMER_THREADS];

	for (int t = 0; t < HAMMER_THREADS; t++) {
		own[t].number = t;
		own[t].opens = count / HAMMER_THREADS + (t < count % HAMMER_THREADS);
		for (int k = 0; k < HAMMER_FILES; k++)
			own[t].paths[k] = make_file(format("hammer-%d", t), k);
	}
	for (int t = 0; t < HAMMER_THREADS; t++)
		if (pthread_create(&threads[t], NULL, hammer_thread, &own[t]))
			die("pthread_create");
	for (int t = 0; t < HAMMER_THREADS; t++)
		pthread_join(threads[t], NULL);
}

static void hold_in_child(char *const *paths, int opens, int held_pipe, int end_pipe)
{
	char byte = 0;

	for (int i = 0; i < opens; i++)
		must(open(paths[i % HOLD_FILES], O_RDONLY), "open");
	must(write(held_pipe, &byte, 1), "write");
	close(held_pipe);
	if (read(end_pipe, &byte, 1) < 0)
		die("read");
	_exit(0);
}

/* How many files one process may hold: its limit is raised as far as it goes. */
static int raise_limit(void)
{
	struct rlimit limit;

	must(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	limit.rlim_cur = limit.rlim_max > HOLD_MAX ? HOLD_MAX : limit.rlim_max;
	must(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
	return (int)limit.rlim_cur - HOLD_SPARE;
}

/* COUNT opens held by as few processes as their limit allows, until the next byte arrives. */
static void hold_paths(int count, char *const *paths)
{
	int held[2], end[2], processes = 0, most = raise_limit();
	char byte;

	must(pipe2(held, O_CLOEXEC), "pipe");
	must(pipe2(end, O_CLOEXEC), "pipe");
	for (int left = count; left > 0; left -= most, processes++) {
		if (must(fork(), "fork") == 0) {
			close(end[1]);
			hold_in_child(paths, left < most ? left : most, held[1], end[0]);
		}
	}
	for (int i = 0; i < processes; i++)
		if (read(held[0], &byte, 1) != 1)
			die("a child failed");
	dprintf(1, "{\"holding\":%d,\"processes\":%d}\n", count, processes);
	wait_for_go();
	close(end[1]);
	while (processes-- > 0)
		wait(NULL);
}

static void hold(int count)
{
	char *paths[HOLD_FILES];

	for (int i = 0; i < HOLD_FILES; i++)
		paths[i] = make_file("held", i);
	hold_paths(count, paths);
}

/* The same with paths that are longer than the kernel side has room for beside a record. */
static void hold_long(int count)
{
	char *folder = format("%s/%0240d", work_dir, 0), *paths[HOLD_FILES];

	must(mkdir(folder, 0755), "mkdir");
	for (int i = 0; i < HOLD_FILES; i++)
		paths[i] = make_file_at(format("%s/held-%d", folder, i));
	dprintf(1, "{\"folder\":\"%s\"}\n", folder);
	hold_paths(count, paths);
}

/*
 * COUNT short processes, at most as many at once as the third argument says. Each opens and closes as many files as the
 * first says, and leaves as many open at its exit as the second says.
 */
static void fork_bomb(int count)
{
	char *path = make_file("bomb", 0);
	int opens = atoi(extra_args[0]), left = atoi(extra_args[1]), most = atoi(extra_args[2]);
	int alive = 0, status;

	for (int started = 0; started < count || alive > 0;) {
		if (started < count && alive < most) {
			started++;
			alive++;
			if (must(fork(), "fork") == 0) {
				for (int i = 0; i < opens; i++)
					if (close(open(path, O_RDONLY)) < 0)
						_exit(1);
				for (int i = 0; i < left; i++)
					if (open(path, O_RDONLY) < 0)
						_exit(1);
				_exit(0);
			}
			continue;
		}
		must(wait(&status), "wait");
		if (status != 0)
			die("a child failed");
		alive--;
	}
	dprintf(1, "{\"opens\":%lld}\n", (long long)count * (opens + left));
}

/* Opens before the collector is there; closes when told. */
static void adopted(int count)
{
	struct expected *entries[1024];
	int fds[1024];

	for (int i = 0; i < count; i++) {
		fds[i] = open_new("adopted", i, i % 2 ? O_RDWR : O_RDONLY, &entries[i]);
		if (i % 3 == 0) /* a second number in the same table: one span all the same */
			must(dup(fds[i]), "dup");
		entries[i]->adopted = 1;
	}
	wait_for_go();
	for (int i = 0; i < count; i++) {
		if (i % 3 == 0)
			must(syscall(SYS_close_range, fds[i] + 1, fds[i] + 1, 0), "close_range");
		close_traced(fds[i], entries[i]);
	}
}

/* COUNT opens and closes as fast as they go. */
static void burst(int count)
{
	char *path = make_file("burst", 0);

	for (int i = 0; i < count; i++)
		if (close(open(path, O_RDONLY)) < 0)
			die("burst");
	dprintf(1, "{\"opens\":%d}\n", count);
}

static void open_in_child(const char *path, int opens, long pause_ns)
{
	struct timespec pause = { pause_ns / 1000000000, pause_ns % 1000000000 };

	for (int i = 0; i < opens; i++) {
		int fd = open(path, i % 4 ? O_RDONLY : O_WRONLY);

		if (fd < 0 || close(fd) < 0)
			_exit(1);
		if (pause_ns)
			nanosleep(&pause, NULL);
	}
	_exit(0);
}

/*
 * COUNT opens by many processes one after the other, each of as many opens as the first argument says (default 9);
 * every 100th of as many as the second says (default the same). With a third, each open is followed by a pause of so
 * many nanoseconds. Every fourth open of a process is for writing.
 */
static void swarm(int count)
{
	char *path = make_file("swarm", 0);
	int few = extra_count > 0 ? atoi(extra_args[0]) : 9;
	int many = extra_count > 1 ? atoi(extra_args[1]) : few;
	long pause_ns = extra_count > 2 ? atol(extra_args[2]) : 0;
	int processes = 0, opened = 0, status;

	while (opened < count) {
		int opens = ++processes % 100 == 0 ? many : few;
		int pid;

		if (opens > count - opened)
			opens = count - opened;
		pid = must(fork(), "fork");
		if (pid == 0)
			open_in_child(path, opens, pause_ns);
		if (waitpid(pid, &status, 0) < 0 || status != 0)
			die("a child failed");
		opened += opens;
	}
	dprintf(1, "{\"opens\":%d,\"processes\":%d}\n", opened, processes);
}

static int is_told_to_end(void)
{
	struct pollfd input = { .fd = 0, .events = POLLIN };

	return poll(&input, 1, 0) != 0;
}

/* A folder below so many others, with names of 200 bytes. */
static char *deep_folder(int depth)
{
	char name[201], *folder = format("%s", work_dir);

	memset(name, 'd', 200);
	name[200] = 0;
	for (int i = 0; i < depth; i++) {
		folder = format("%s/%s", folder, name);
		must(mkdir(folder, 0755), "mkdir");
	}
	return folder;
}

/*
 * Up to COUNT files, each with a number of its own, opened once and closed; it ends before when a byte arrives. The first
 * argument is the pause after each in nanoseconds, the second how many folders lie above the files.
 */
static void numbered(int count)
{
	long pause_ns = extra_count > 0 ? atol(extra_args[0]) : 0;
	struct timespec pause = { pause_ns / 1000000000, pause_ns % 1000000000 };
	char *folder = deep_folder(extra_count > 1 ? atoi(extra_args[1]) : 0);
	size_t bytes = strlen(folder) + 32;
	char *path = malloc(bytes);
	int opened = 0;

	for (; opened < count && !is_told_to_end(); opened++) {
		snprintf(path, bytes, "%s/numbered-%d", folder, opened);
		int fd = must(open(path, O_CREAT | O_WRONLY, 0644), "open");

		must(close(fd), "close");
		must(unlink(path), "unlink");
		if (pause_ns)
			nanosleep(&pause, NULL);
	}
	dprintf(1, "{\"opens\":%d}\n", opened);
}

/* Files that are open when the collector stops: listed with reason "stop", then closed unseen. */
static void left_open(int count)
{
	struct expected *entry;

	for (int i = 0; i < count; i++) {
		open_new("left", i, O_RDONLY, &entry);
		close_begins(entry);
	}
	report_print();
	wait_for_go();
	_exit(0);
}

const struct scenario load_scenarios[] = {
	{ "hammer", hammer, 0 },       { "hold", hold, 0 },
	{ "adopted", adopted, 1 },     { "burst", burst, 0 },
	{ "left-open", left_open, 0 }, { "swarm", swarm, 0 },
	{ "numbered", numbered, 0 },   { "fork-bomb", fork_bomb, 0 },
	{ "hold-long", hold_long, 0 }, { 0 },
};
