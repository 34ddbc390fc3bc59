/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of one table: all opening at once, and two that race to close one number. */
#define _GNU_SOURCE
#include "workload.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS	  5
#define PROCESSES 3

static void *open_and_close_two(void *argument)
{
	int count = *(int *)argument;

	for (int i = 0; i < count; i++) {
		struct expected *entry, *other;
		int fd = open_new("many", i, O_RDONLY, &entry);
		int second = open_new("many", i + 1, O_RDWR, &other);

		close_traced(fd, entry);
		close_traced(second, other);
	}
	return NULL;
}

static void run_threads(void *(*run)(void *), void *argument, int count)
{
	pthread_t threads[16];

	for (int i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, run, argument))
			die("pthread_create");
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

/* COUNT rounds of two files in each of 5 threads of each of 3 processes. */
static void many_threads(int count)
{
	int pids[PROCESSES];

	for (int i = 0; i < PROCESSES; i++) {
		pids[i] = must(fork(), "fork");
		if (pids[i] == 0) {
			run_threads(open_and_close_two, &count, THREADS);
			_exit(0);
		}
	}
	for (int i = 0; i < PROCESSES; i++)
		wait_for_child(pids[i]);
}

static struct race {
	atomic_int turn, arrived, succeeded;
	atomic_int fd;
} race;

static void *race_to_close(void *argument)
{
	int rounds = *(int *)argument;

	for (int round = 1; round <= rounds; round++) {
		while (race.turn < round)
			sched_yield();
		if (close(race.fd) == 0)
			race.succeeded++;
		race.arrived++;
	}
	return NULL;
}

/* Two threads close the same number at once: one succeeds, and one span ends. */
static void racing_closes(int count)
{
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, race_to_close, &count))
			die("pthread_create");
	for (int round = 1; round <= count; round++) {
		struct expected *entry;

		race.fd = open_new("raced", round % 11, O_RDONLY, &entry);
		race.arrived = 0;
		race.succeeded = 0;
		close_begins(entry);
		race.turn = round;
		while (race.arrived < 2)
			sched_yield();
		close_ended(entry, "close");
		if (race.succeeded != 1)
			die("two closes of one descriptor");
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

const struct scenario thread_scenarios[] = {
	{ "many-threads", many_threads, 0 },
	{ "racing-closes", racing_closes, 0 },
	{ 0 },
};
