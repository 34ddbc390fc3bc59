/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and writes through open files by every call, and what came of each, by the calls' own results. */
#define _GNU_SOURCE
#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILE_BYTES 100000

struct totals {
	const char *path;
	int fd;
	uint64_t read_bytes, reads, written_bytes, writes;
};

static char buffer[FILE_BYTES];
static struct iovec vector[2] = { { buffer, 1000 }, { buffer + 1000, 2345 } };

static void open_it(struct totals *one, const char *label, int index, int flags)
{
	*one = (struct totals){ .path = make_file(label, index) };
	must(truncate(one->path, FILE_BYTES), "truncate");
	one->fd = must(open(one->path, flags), "open");
}

static void was_read(struct totals *one, ssize_t result)
{
	one->read_bytes += must(result, one->path);
	one->reads++;
}

static void was_written(struct totals *one, ssize_t result)
{
	one->written_bytes += must(result, one->path);
	one->writes++;
}

static void close_it(struct totals *one)
{
	must(close(one->fd), "close");
	printf("{\"io\":\"%s\",\"totals\":[\"%llu\",\"%llu\",\"%llu\",\"%llu\"]}\n", one->path,
	       (unsigned long long)one->read_bytes, (unsigned long long)one->reads,
	       (unsigned long long)one->written_bytes, (unsigned long long)one->writes);
}

static void read_all_ways(int index)
{
	struct totals one;

	open_it(&one, "read", index, O_RDONLY);
	was_read(&one, read(one.fd, buffer, 1));
	was_read(&one, read(one.fd, buffer, 777));
	was_read(&one, pread(one.fd, buffer, 4096, FILE_BYTES - 100)); /* 100 are left */
	was_read(&one, pread(one.fd, buffer, 4096, FILE_BYTES));       /* the end: a call of 0 bytes */
	was_read(&one, readv(one.fd, vector, 2));
	was_read(&one, preadv(one.fd, vector, 1, 5));
	was_read(&one, preadv2(one.fd, vector, 2, 7, 0));
	if (write(one.fd, buffer, 10) != -1 || errno != EBADF)
		die("a file opened to read was written");
	close_it(&one);
}

static void write_all_ways(int index)
{
	struct totals one;

	open_it(&one, "write", index, O_WRONLY);
	was_written(&one, write(one.fd, buffer, 3));
	was_written(&one, write(one.fd, buffer, FILE_BYTES));
	was_written(&one, pwrite(one.fd, buffer, 55, 1 << 20));
	was_written(&one, writev(one.fd, vector, 2));
	was_written(&one, pwritev(one.fd, vector, 1, 5));
	was_written(&one, pwritev2(one.fd, vector, 2, 7, 0));
	if (read(one.fd, buffer, 10) != -1 || errno != EBADF)
		die("a file opened to write was read");
	close_it(&one);
}

static void copy_all_ways(int index)
{
	struct totals from, to;
	int ends[2];
	ssize_t result;

	open_it(&from, "from", index, O_RDONLY);
	open_it(&to, "to", index, O_RDWR);
	result = sendfile(to.fd, from.fd, NULL, 12345);
	was_read(&from, result);
	was_written(&to, result);
	result = copy_file_range(from.fd, NULL, to.fd, NULL, 23456, 0);
	was_read(&from, result);
	was_written(&to, result);
	must(pipe2(ends, O_CLOEXEC), "pipe");
	result = splice(from.fd, NULL, ends[1], NULL, 4096, 0);
	was_read(&from, result);
	result = splice(ends[0], NULL, to.fd, NULL, result, 0);
	was_written(&to, result);
	close(ends[0]);
	close(ends[1]);
	/* Both sides at once. */
	result = copy_file_range(to.fd, &(off64_t){ 0 }, to.fd, &(off64_t){ 50000 }, 999, 0);
	was_read(&to, result);
	was_written(&to, result);
	close_it(&from);
	close_it(&to);
}

static void *write_in_thread(void *argument)
{
	struct totals *one = argument;

	was_written(one, write(one->fd, buffer, 31));
	return NULL;
}

/* Through a second number, by a thread, and by a child that inherited the descriptor. */
static void write_by_others(int index)
{
	struct totals one;
	pthread_t thread;
	int second, pid;

	open_it(&one, "others", index, O_RDWR | O_APPEND);
	second = must(dup(one.fd), "dup");
	was_written(&one, write(second, buffer, 17));
	must(close(second), "close");
	if (pthread_create(&thread, NULL, write_in_thread, &one))
		die("pthread_create");
	pthread_join(thread, NULL);
	pid = must(fork(), "fork");
	if (pid == 0)
		_exit(write(one.fd, buffer, 4444) == 4444 && read(one.fd, buffer, 50) == 0 ? 0 : 1);
	wait_for_child(pid);
	was_written(&one, 4444);
	was_read(&one, 0);
	close_it(&one);
}

static void io_totals(int count)
{
	for (int i = 0; i < count; i++) {
		read_all_ways(i);
		write_all_ways(i);
		copy_all_ways(i);
		write_by_others(i);
	}
	fflush(stdout);
}

const struct scenario io_scenarios[] = { { "io-totals", io_totals, 0 }, { 0 } };
