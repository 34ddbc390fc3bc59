/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does what it is told on standard input, a line each, and answers with the nanoseconds of one turn: CPU
 * time of this thread, in the best of many short batches, so that what else runs on the machine spoils a batch
 * and not the answer.
 *   pairs COUNT PATH   open and close PATH
 *   calls COUNT        getppid(), a call that fdspan doesn't look at
 *   reads COUNT PATH   read one byte of PATH, opened once
 *   paced COUNT RATE PATH   pairs, RATE a second; answers when all are done
 *   hold COUNT PATH    opens PATH and keeps it open
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BATCH 200

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void one_pair(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0 || close(fd) < 0) {
		perror(path);
		exit(1);
	}
}

enum turn { PAIR, READ, CALL };

static double best_batch(long count, enum turn turn, const char *path)
{
	int fd = turn == READ ? open(path, O_RDONLY) : -1;
	char byte;

	double best = 1e18;

	for (long done = 0; done < count; done += BATCH) {
		uint64_t begin = now_ns(CLOCK_THREAD_CPUTIME_ID);

		for (int i = 0; i < BATCH; i++) {
			if (turn == PAIR)
				one_pair(path);
			else if (turn == CALL)
				syscall(SYS_getppid);
			else if (pread(fd, &byte, 1, 0) < 0)
				exit(1);
		}
		double each = (double)(now_ns(CLOCK_THREAD_CPUTIME_ID) - begin) / BATCH;

		if (each < best)
			best = each;
	}
	if (fd >= 0)
		close(fd);
	return best;
}

/* In steps of a millisecond. */
static void paced(long count, long rate, const char *path)
{
	uint64_t begin = now_ns(CLOCK_MONOTONIC);

	for (long done = 0; done < count; done++) {
		uint64_t due = begin + (uint64_t)done * 1000000000 / rate;

		if (done % (rate / 1000 + 1) == 0) {
			uint64_t now = now_ns(CLOCK_MONOTONIC);

			if (due > now) {
				struct timespec left = { 0, (long)(due - now) };

				nanosleep(&left, NULL);
			}
		}
		one_pair(path);
	}
}

static void hold(long count, const char *path)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	while (count-- > 0) {
		if (open(path, O_RDONLY) < 0) {
			perror("hold");
			exit(1);
		}
	}
}

int main(void)
{
	char line[8192], path[8192];
	long count, rate;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("{\"waiting\":%d}\n", getpid());
	while (fgets(line, sizeof(line), stdin)) {
		double answer = 0;

		if (sscanf(line, "pairs %ld %8191[^\n]", &count, path) == 2)
			answer = best_batch(count, PAIR, path);
		else if (sscanf(line, "reads %ld %8191[^\n]", &count, path) == 2)
			answer = best_batch(count, READ, path);
		else if (sscanf(line, "calls %ld", &count) == 1)
			answer = best_batch(count, CALL, NULL);
		else if (sscanf(line, "paced %ld %ld %8191[^\n]", &count, &rate, path) == 3)
			paced(count, rate, path);
		else if (sscanf(line, "hold %ld %8191[^\n]", &count, path) == 2)
			hold(count, path);
		else
			return 2;
		printf("%.2f\n", answer);
	}
	return 0;
}
