/* SPDX-License-Identifier: Apache-2.0 */
/* Paths as the container sees them: bind mounts, overlayfs, a changed root; in a mount namespace of its own. */
#define _GNU_SOURCE
#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char *make_directory(const char *label, int index)
{
	char *path = format("%s/%s-%d", work_dir, label, index);

	must(mkdir(path, 0755), "mkdir");
	return path;
}

static void open_in(const char *directory, const char *how)
{
	char *path = format("%s/inside", directory);
	struct expected *entry = open_begins(how, O_RDONLY);

	close_traced(open_ended(entry, open(path, O_RDONLY)), entry);
}

static void bind_mounted(int index)
{
	char *from = make_directory("from", index), *to = make_directory("to", index);
	struct expected *entry;

	make_file_at(format("%s/inside", from));
	must(mount(from, to, NULL, MS_BIND, NULL), "mount");
	open_in(to, "bind mount");
	must(mount(NULL, to, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), "remount");
	char *path = format("%s/inside", to);

	entry = open_begins("read-only mount", O_RDWR);
	open_failed(entry, open(path, O_RDWR), EROFS, path);
}

static void overlaid(int index)
{
	char *lower = make_directory("lower", index), *upper = make_directory("upper", index);
	char *work = make_directory("work", index), *merged = make_directory("merged", index);

	make_file_at(format("%s/inside", lower));
	if (mount("overlay", merged, "overlay", 0,
		  format("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work)) < 0)
		skip("overlayfs is not to be had here");
	open_in(merged, "overlayfs");
	/* Written to: the kernel copies it up, which is not an open of the user's. */
	struct expected *entry = open_begins("overlayfs copy-up", O_RDWR);

	close_traced(open_ended(entry, open(format("%s/inside", merged), O_RDWR)), entry);
	open_in(merged, "overlayfs upper");
}

static void changed_root(int index)
{
	char *root = make_directory("root", index);
	struct expected *entry;

	make_file_at(format("%s/inside", root));
	int pid = must(fork(), "fork");

	if (pid) {
		wait_for_child(pid);
		return;
	}
	must(chroot(root), "chroot");
	must(chdir("/"), "chdir");
	for (int way = 0; way < 2; way++) {
		entry = open_begins(way ? "changed root, relative" : "changed root", O_RDONLY);
		entry->from_argument = 1;
		entry->path = "/inside";
		entry->path_bytes = strlen(entry->path);
		close_traced(open_ended(entry, open(way ? "inside" : "/inside", O_RDONLY)), entry);
	}
	_exit(0);
}

/* Executed again inside the new mount namespace, as a container's program is: else a runtime is meant. */
static void mounts(int count)
{
	char *arguments[] = { "workload", "mounts-inside", format("%d", count), (char *)work_dir,
			      NULL };
	char *environment[] = { NULL };

	must(unshare(CLONE_NEWNS), "unshare");
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "mount private");
	execve(self_exe, arguments, environment);
	die("execve");
}

static void mounts_inside(int count)
{
	for (int i = 0; i < count; i++) {
		bind_mounted(i);
		overlaid(i);
		changed_root(i);
	}
}

const struct scenario mount_scenarios[] = {
	{ "mounts", mounts, 1 },
	{ "mounts-inside", mounts_inside, 0 },
	{ 0 },
};
