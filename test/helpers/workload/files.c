/* SPDX-License-Identifier: Apache-2.0 */
/* Steps that many scenarios share: a file, an open, a close, a child. */
#define _GNU_SOURCE
#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

char *make_file_at(const char *path)
{
	if (mknod(path, S_IFREG | 0644, 0) < 0 && errno != EEXIST)
		die(path);
	return (char *)path;
}

char *make_file(const char *label, int index)
{
	return make_file_at(format("%s/%s-%d", work_dir, label, index));
}

int open_traced(const char *path, int flags, struct expected **entry)
{
	struct expected *opened = open_begins("openat", flags);
	int fd = openat(AT_FDCWD, path, flags, 0644);

	open_ended(opened, fd);
	*entry = opened;
	return fd;
}

int open_new(const char *label, int index, int flags, struct expected **entry)
{
	return open_traced(make_file(label, index), flags, entry);
}

void close_traced(int fd, struct expected *entry)
{
	close_begins(entry);
	int result = close(fd);

	close_ended(entry, "close");
	must(result, "close");
}

void open_and_close(const char *path, int flags)
{
	struct expected *entry;
	int fd = open_traced(path, flags, &entry);

	close_traced(fd, entry);
}

void wait_for_child(int pid)
{
	int status;

	must(waitpid(pid, &status, 0), "waitpid");
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
		errno = 0;
		die("a child failed");
	}
}

void wait_for_go(void)
{
	char byte;
	static const char waiting[] = "{\"waiting\":true}\n";

	must(write(1, waiting, sizeof(waiting) - 1), "write");
	if (read(0, &byte, 1) != 1)
		die("standard input ended");
}

void exec_noop(void)
{
	char *arguments[] = { "workload", "noop", "1", (char *)work_dir, NULL };
	char *environment[] = { NULL };

	execve(self_exe, arguments, environment);
}
