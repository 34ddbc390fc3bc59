/* SPDX-License-Identifier: Apache-2.0 */
/* Every way to close in the descriptor table of one thread: close, close_range, duplicates. */
#define _GNU_SOURCE
#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/syscall.h>
#include <unistd.h>

static int range(unsigned int first, unsigned int last, unsigned int flags)
{
	return (int)syscall(SYS_close_range, first, last, flags);
}

static void must_fail(int result, int error, const char *what)
{
	if (result >= 0 || errno != error)
		die(what);
}

static void close_range_three(int index, unsigned int flags)
{
	struct expected *entries[3];
	int fds[3];

	for (int i = 0; i < 3; i++)
		fds[i] = open_new("range", index * 3 + i, O_RDONLY, &entries[i]);
	for (int i = 0; i < 3; i++)
		close_begins(entries[i]);
	must(range((unsigned int)fds[0], (unsigned int)fds[2], flags), "close_range");
	for (int i = 0; i < 3; i++)
		close_ended(entries[i], "close_range");
}

static void range_without_end(int index, unsigned int flags, int inverted, int error)
{
	struct expected *entry;
	int fd = open_new("kept", index, O_RDONLY, &entry);
	int result = inverted ? range((unsigned int)fd, (unsigned int)fd - 1, flags)
			      : range((unsigned int)fd, (unsigned int)fd, flags);

	if (error)
		must_fail(result, error, "close_range");
	else
		must(result, "close_range");
	close_traced(fd, entry);
}

static void close_ranges(int count)
{
	for (int i = 0; i < count; i++) {
		close_range_three(i, 0);
		close_range_three(i, CLOSE_RANGE_UNSHARE); /* the table isn't shared */
		range_without_end(i, CLOSE_RANGE_CLOEXEC, 0, 0);
		range_without_end(i, 8, 0, EINVAL);
		range_without_end(i, 0, 1, EINVAL);
	}
}

static void plain_closes(int count)
{
	for (int i = 0; i < count; i++) {
		struct expected *entry, *other;
		int fd = open_new("plain", i % 7, O_RDWR, &entry);
		int second = open_new("plain", i % 7, O_RDONLY, &other);

		close_traced(fd, entry);
		must_fail(close(fd), EBADF, "close of a closed descriptor");
		close_traced(second, other);
	}
}

static int duplicate(int fd, int way)
{
	switch (way) {
	case 0:
		return dup(fd);
	case 1:
		return dup2(fd, 100);
	case 2:
		return dup3(fd, 101, O_CLOEXEC);
	case 3:
		return fcntl(fd, F_DUPFD, 50);
	default:
		return fcntl(fd, F_DUPFD_CLOEXEC, 60);
	}
}

/* The span lasts until the last duplicate is closed, whichever order they are closed in. */
static void duplicates_extend(int index, int way)
{
	struct expected *entry;
	int fd = open_new("extended", index, O_RDWR, &entry);
	int copy = must(duplicate(fd, way), "dup");
	int first = index % 2 ? fd : copy, last = index % 2 ? copy : fd;

	must(close(first), "close");
	close_traced(last, entry);
}

static void dup_over(int index)
{
	struct expected *entry, *over;
	int fd = open_new("over", index * 2, O_RDWR, &entry);
	int target = open_new("over", index * 2 + 1, O_RDWR, &over);

	must_fail(dup2(1000, target), EBADF, "dup2 of a bad descriptor");
	must(dup2(target, target), "dup2 of itself");
	must_fail(dup3(target, target, 0), EINVAL, "dup3 of itself");
	close_begins(over);
	if (index % 2)
		must(dup2(fd, target), "dup2");
	else
		must(dup3(fd, target, O_CLOEXEC), "dup3");
	close_ended(over, "dup");
	/* Both numbers are the first file's now; the last of them goes by close_range. */
	must(close(fd), "close");
	close_begins(entry);
	must(range((unsigned int)target, (unsigned int)target, 0), "close_range");
	close_ended(entry, "close_range");
}

/* A number is freed and taken again by another file's duplicate: the set of numbers must follow. */
static void reused_number(int index)
{
	struct expected *first, *second;
	int a = open_new("reused", index * 2, O_RDWR, &first);
	int a_copy = must(dup(a), "dup");
	int b = open_new("reused", index * 2 + 1, O_RDWR, &second);

	must(dup2(b, a_copy), "dup2"); /* a loses its copy, keeps its first number */
	close_traced(a, first);
	must(close(b), "close");
	close_traced(a_copy, second);
}

static void duplicates(int count)
{
	for (int i = 0; i < count; i++) {
		for (int way = 0; way < 5; way++)
			duplicates_extend(i, way);
		dup_over(i);
		reused_number(i);
	}
}

/* A shell's `echo hi > f`: open, dup2 to 1, close; later 1 is put back. */
static void shell_redirect(int count)
{
	for (int i = 0; i < count; i++) {
		struct expected *entry;
		int saved = must(fcntl(1, F_DUPFD_CLOEXEC, 10), "dup");
		int fd = open_new("redirect", i, O_WRONLY, &entry);

		must(dup2(fd, 1), "dup2");
		must(close(fd), "close");
		must(write(1, "hi\n", 3), "write");
		close_begins(entry);
		must(dup2(saved, 1), "dup2");
		close_ended(entry, "dup");
		must(close(saved), "close");
	}
}

const struct scenario close_scenarios[] = {
	{ "plain-closes", plain_closes, 0 },
	{ "close-ranges", close_ranges, 0 },
	{ "duplicates", duplicates, 0 },
	{ "shell-redirect", shell_redirect, 0 },
	{ 0 },
};
