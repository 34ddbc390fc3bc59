/* SPDX-License-Identifier: Apache-2.0 */
/* Every way to open a regular file, each closed by close(2); and opens that make no span. */
#define _GNU_SOURCE
#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int take(struct expected *entry, long fd)
{
	return open_ended(entry, (int)fd);
}

static void open_basic(int index)
{
	char *path = make_file("basic", index);
	struct expected *entry = open_begins("open", O_RDWR);

	close_traced(take(entry, syscall(SYS_open, path, O_RDWR, 0)), entry);
	entry = open_begins("openat absolute", O_RDONLY | O_CLOEXEC);
	close_traced(take(entry, syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0)),
		     entry);
	entry = open_begins("creat", O_WRONLY | O_CREAT | O_TRUNC);
	close_traced(take(entry,
			  syscall(SYS_creat, format("%s/created-%d", work_dir, index), 0600)),
		     entry);
	struct open_how how = { .flags = O_WRONLY | O_APPEND, .resolve = RESOLVE_NO_SYMLINKS };

	entry = open_begins("openat2", O_WRONLY | O_APPEND);
	close_traced(take(entry, syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how))), entry);
}

static void open_relative(int index)
{
	make_file("relative", index);
	must(chdir(work_dir), "chdir");
	struct expected *entry = open_begins("openat relative", O_RDONLY);

	close_traced(take(entry, syscall(SYS_openat, AT_FDCWD, format("./relative-%d", index),
					 O_RDONLY, 0)),
		     entry);
	int directory = must(open(work_dir, O_DIRECTORY | O_RDONLY), "open directory");

	must(chdir("/"), "chdir");
	entry = open_begins("openat by descriptor", O_RDONLY);
	close_traced(take(entry, syscall(SYS_openat, directory, format("relative-%d", index),
					 O_RDONLY, 0)),
		     entry);
	must(close(directory), "close");
}

static void open_special(int index)
{
	char *path = make_file("special", index);
	struct expected *entry;
	char *link = format("%s/link-%d", work_dir, index);

	must(symlink(path, link), "symlink");
	entry = open_begins("symbolic link", O_RDONLY);
	close_traced(take(entry, open(link, O_RDONLY)), entry);
	entry = open_begins("O_TMPFILE", O_RDWR | O_TMPFILE);
	close_traced(take(entry, open(work_dir, O_RDWR | O_TMPFILE, 0600)), entry);

	struct expected *deleted, *again;
	int fd = open_traced(path, O_RDWR, &deleted);

	must(unlink(path), "unlink");
	again = open_begins("deleted", O_RDONLY);
	int second = take(again, open(format("/proc/self/fd/%d", fd), O_RDONLY));

	close_traced(fd, deleted);
	close_traced(second, again);
}

static void open_by_handle(int index)
{
	char *path = make_file("handle", index);
	struct file_handle *handle = calloc(1, sizeof(*handle) + MAX_HANDLE_SZ);
	int mount_id, directory = must(open(work_dir, O_DIRECTORY | O_RDONLY), "open directory");

	handle->handle_bytes = MAX_HANDLE_SZ;
	must(name_to_handle_at(AT_FDCWD, path, handle, &mount_id, 0), "name_to_handle_at");
	struct expected *entry = open_begins("open_by_handle_at", O_RDONLY);

	close_traced(take(entry, open_by_handle_at(directory, handle, O_RDONLY)), entry);
	must(close(directory), "close");
	free(handle);
}

static void every_open(int count)
{
	for (int i = 0; i < count; i++) {
		open_basic(i);
		open_relative(i);
		open_special(i);
		open_by_handle(i);
	}
}

static char *padded(char letter, size_t bytes)
{
	char text[256];

	memset(text, letter, bytes);
	return keep_string(text, bytes);
}

/* A path of exactly `bytes` bytes: directories of 200, then a name for the rest. Leaves the process there. */
static char *deep_path(size_t bytes, int index)
{
	char *path = format("%s/deep-%zu-%d", work_dir, bytes, index);

	must(mkdir(path, 0755), "mkdir");
	must(chdir(path), "chdir");
	while (bytes - strlen(path) > 256) {
		char *name = padded('d', 200);

		must(mkdir(name, 0755), "mkdir");
		must(chdir(name), "chdir");
		path = format("%s/%s", path, name);
	}
	return format("%s/%s", path, padded('f', bytes - strlen(path) - 1));
}

static void long_paths(int count)
{
	static const size_t lengths[] = { 4095, 4096, 4097, 6007 };

	for (int i = 0; i < count; i++) {
		for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++) {
			char *path = deep_path(lengths[l], i);
			char *name = strrchr(path, '/') + 1;
			struct expected *entry;

			make_file_at(name);
			entry = open_begins("long path", O_RDONLY);
			entry->from_argument = 1;
			entry->path = path;
			entry->path_bytes = strlen(path);
			close_traced(take(entry, open(name, O_RDONLY)), entry);
		}
	}
	must(chdir("/"), "chdir");
}

static void odd_names(int count)
{
	for (int i = 0; i < count; i++) {
		char *odd[] = { padded('n', 255),
				format("new\nline \"%d\" \\", i),
				format("caf\xc3\xa9-%d", i),
				format("bad-\xff\xfe-%d", i),
				format("cut-%d-\xe2\x82", i),
				format("<b>&%d;\x01\x7f", i) };

		for (size_t j = 0; j < sizeof(odd) / sizeof(odd[0]); j++)
			open_and_close(make_file_at(format("%s/%s", work_dir, odd[j])), O_RDONLY);
	}
}

/* Directories, devices, pipes, sockets, memfds and path-only descriptors: nothing is expected. */
static void no_spans(int count)
{
	for (int i = 0; i < count; i++) {
		int ends[2];

		close(must(open(work_dir, O_RDONLY | O_DIRECTORY), "directory"));
		close(must(open("/dev/null", O_RDWR), "device"));
		close(must(open("/proc/self/status", O_RDONLY), "proc"));
		close(must(memfd_create("memory", 0), "memfd"));
		close(must(epoll_create1(0), "epoll"));
		close(must(socket(AF_UNIX, SOCK_STREAM, 0), "socket"));
		must(pipe(ends), "pipe");
		close(ends[0]);
		close(ends[1]);
		if (open(format("%s/none-%d", work_dir, i), O_RDONLY) >= 0 || errno != ENOENT)
			die("open of nothing");
	}
}

static void refused_for(int uid, int index)
{
	char *path = make_file("secret", index);
	struct expected *entry;

	must(chmod(path, 0600), "chmod");
	int directory = must(open(work_dir, O_DIRECTORY | O_RDONLY), "open directory");
	int pid = must(fork(), "fork");

	if (pid) {
		close(directory);
		wait_for_child(pid);
		return;
	}
	must(syscall(SYS_setresuid, uid, uid, uid), "setresuid");
	entry = open_begins("refused", O_RDWR);
	open_failed(entry, open(path, O_RDWR), EACCES, path);
	entry = open_begins("refused by descriptor", O_RDONLY);
	open_failed(entry, openat(directory, strrchr(path, '/') + 1, O_RDONLY), EACCES, path);
	_exit(0);
}

static void failed_opens(int count)
{
	for (int i = 0; i < count; i++) {
		struct expected *entry;
		struct rlimit old, low;
		char *path = make_file("many", i);

		refused_for(65534, i);
		must(getrlimit(RLIMIT_NOFILE, &old), "getrlimit");
		low = old;
		low.rlim_cur = 3;
		must(setrlimit(RLIMIT_NOFILE, &low), "setrlimit");
		entry = open_begins("too many", O_RDONLY);
		int fd = open(path, O_RDONLY);

		open_failed(entry, fd, EMFILE, path);
		must(setrlimit(RLIMIT_NOFILE, &old), "setrlimit");
	}
}

const struct scenario open_scenarios[] = {
	{ "every-open", every_open, 0 },     { "long-paths", long_paths, 0 },
	{ "odd-names", odd_names, 0 },	     { "no-spans", no_spans, 0 },
	{ "failed-opens", failed_opens, 0 }, { 0 },
};
