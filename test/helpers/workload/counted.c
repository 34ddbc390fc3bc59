/* SPDX-License-Identifier: Apache-2.0 */
/* Opens of every access and failures of many kinds, told as totals: what metrics must say. */
#define _GNU_SOURCE
#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NEITHER 3 /* O_ACCMODE that asks for neither reading nor writing */

/* Lower and upper bound of the sum of all durations. */
static uint64_t least_ns, most_ns;

static void open_times(const char *path, int flags, int times)
{
	for (int i = 0; i < times; i++) {
		uint64_t before = boot_ns();
		int fd = must(open(path, flags), "open");
		uint64_t opened = boot_ns();
		uint64_t closing = boot_ns();

		must(close(fd), "close");
		least_ns += closing - opened;
		most_ns += boot_ns() - before;
	}
}

static void fail_times(const char *path, int flags, int error, int times)
{
	for (int i = 0; i < times; i++)
		if (open(path, flags, 0600) != -1 || errno != error)
			die(path);
}

/* Refuses openat with O_NOFOLLOW by EPROTO, which no open gives, before the call is entered. */
static void refuse_nofollow(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_NOFOLLOW, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPROTO),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), "seccomp");
}

static void counted_opens(int count)
{
	char *file = make_file("counted", 0);
	char *link = format("%s/link", work_dir);
	char *below = format("%s/below", file);
	char *missing = format("%s/missing", work_dir);
	char name[NAME_MAX + 2];
	char *longest;

	memset(name, 'x', NAME_MAX + 1);
	name[NAME_MAX + 1] = 0;
	longest = format("%s/%s", work_dir, name);
	must(symlink(file, link), "symlink");
	for (int i = 0; i < count; i++) {
		open_times(file, O_RDONLY, 3);
		open_times(file, O_WRONLY, 2);
		open_times(file, O_RDWR, 1);
		open_times(file, O_PATH, 4);
		open_times(file, NEITHER, 1);
		fail_times(missing, O_RDONLY, ENOENT, 5);
		fail_times(below, O_RDONLY, ENOTDIR, 2);
		fail_times(file, O_RDWR | O_CREAT | O_EXCL, EEXIST, 1);
		fail_times(link, O_RDONLY | O_NOFOLLOW, ELOOP, 3);
		fail_times(work_dir, O_WRONLY, EISDIR, 2);
		fail_times(longest, O_RDONLY, ENAMETOOLONG, 1);
	}
	refuse_nofollow();
	fail_times(file, O_RDONLY | O_NOFOLLOW, EPROTO, count);
	printf("{\"opens\":{\"read\":%d,\"write\":%d,\"read_write\":%d,\"path\":%d,\"none\":%d},"
	       "\"failures\":{\"ENOENT\":%d,\"ENOTDIR\":%d,\"EEXIST\":%d,\"ELOOP\":%d,\"EISDIR\":%d,"
	       "\"ENAMETOOLONG\":%d,\"_OTHER\":%d},\"lasted\":[\"%llu\",\"%llu\"]}\n",
	       3 * count, 2 * count, count, 4 * count, count, 5 * count, 2 * count, count,
	       3 * count, 2 * count, count, count, (unsigned long long)least_ns,
	       (unsigned long long)most_ns);
	fflush(stdout);
}

/* One open and close after each byte that arrives. */
static void steps(int count)
{
	char *file = make_file("step", 0);

	dprintf(1, "{\"waiting\":true}\n");
	for (int i = 1; i <= count; i++) {
		char byte;

		if (read(0, &byte, 1) != 1)
			die("standard input ended");
		open_times(file, O_RDONLY, 1);
		dprintf(1, "{\"step-%d\":true}\n", i);
	}
}

const struct scenario counted_scenarios[] = {
	{ "steps", steps, 1 },
	{ "counted-opens", counted_opens, 0 },
	{ 0 },
};
