/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors and tables that more than one process or thread holds: only the owner's end counts. */
#define _GNU_SOURCE
#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_BYTES (256 << 10)

static void forks(int count)
{
	for (int i = 0; i < count; i++) {
		struct expected *entry;
		int fd = open_new("forked", i, O_RDWR, &entry);
		int pid = must(fork(), "fork");

		if (pid == 0) {
			if (i % 2)
				must(close(fd), "close");
			_exit(0);
		}
		wait_for_child(pid);
		close_traced(fd, entry);
	}
}

static void spawns(int count)
{
	for (int i = 0; i < count; i++) {
		struct expected *kept, *marked;
		int fd = open_new("spawned", i * 2, O_RDWR, &kept);
		int cloexec = open_new("spawned", i * 2 + 1, O_RDWR | O_CLOEXEC, &marked);
		posix_spawn_file_actions_t actions;
		char *arguments[] = { "workload", "noop", "1", (char *)work_dir, NULL };
		char *environment[] = { NULL };
		pid_t pid;

		posix_spawn_file_actions_init(&actions);
		posix_spawn_file_actions_addclose(&actions, fd);
		posix_spawn_file_actions_adddup2(&actions, cloexec, 77);
		if ((errno = posix_spawn(&pid, self_exe, &actions, NULL, arguments, environment)))
			die("posix_spawn");
		posix_spawn_file_actions_destroy(&actions);
		wait_for_child(pid);
		close_traced(fd, kept);
		close_traced(cloexec, marked);
	}
}

static int exec_in_child(void *argument)
{
	(void)argument;
	exec_noop();
	_exit(1);
}

static char *new_stack(void)
{
	char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (stack == MAP_FAILED)
		die("mmap");
	return stack;
}

/* The child shares the table until its exec unshares it: the parent's close-on-exec file stays open. */
static void shared_table_execs(int count)
{
	char *stack = new_stack();

	for (int i = 0; i < count; i++) {
		struct expected *entry;
		int fd = open_new("vforked", i, O_RDWR | O_CLOEXEC, &entry);
		int pid = must(clone(exec_in_child, stack + STACK_BYTES,
				     CLONE_FILES | CLONE_VM | CLONE_VFORK | SIGCHLD, NULL),
			       "clone");

		wait_for_child(pid);
		close_traced(fd, entry);
	}
	munmap(stack, STACK_BYTES);
}

static int close_in_child(void *argument)
{
	struct expected *entry = argument;

	close_traced(entry->fd, entry);
	return 0;
}

/* A process that shares the table closes the opener's descriptor: that is the table's last one. */
static void shared_table_closes(int count)
{
	char *stack = new_stack();

	for (int i = 0; i < count; i++) {
		struct expected *entry;

		open_new("shared", i, O_RDWR, &entry);
		wait_for_child(must(clone(close_in_child, stack + STACK_BYTES,
					  CLONE_FILES | CLONE_VM | CLONE_VFORK | SIGCHLD, entry),
				    "clone"));
	}
	munmap(stack, STACK_BYTES);
}

static void *unshare_and_close(void *argument)
{
	int fd = *(int *)argument;

	must(unshare(CLONE_FILES), "unshare");
	must(close(fd), "close");
	return NULL;
}

static void *close_range_unshare(void *argument)
{
	(void)argument;
	must(syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_UNSHARE), "close_range");
	return NULL;
}

static void in_thread(void *(*run)(void *), void *argument)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, argument) || pthread_join(thread, NULL))
		die("thread");
}

/* A thread closes in a copy of the table: the owner's descriptor stays open. */
static void unshares(int count)
{
	for (int i = 0; i < count; i++) {
		struct expected *entry;
		int fd = open_new("unshared", i, O_RDWR, &entry);

		in_thread(i % 2 ? unshare_and_close : close_range_unshare, &fd);
		close_traced(fd, entry);
	}
}

static void send_fd(int channel, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	must(sendmsg(channel, &message, 0), "sendmsg");
}

static int receive_fd(int channel)
{
	int fd;
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };

	must(recvmsg(channel, &message, 0), "recvmsg");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return must(fd, "received descriptor");
}

/* The sender closes while the receiver still holds it, or after; the receiver never owns a span. */
static void passed_fds(int count)
{
	for (int i = 0; i < count; i++) {
		struct expected *entry;
		int channel[2];
		char byte = 0;

		must(socketpair(AF_UNIX, SOCK_STREAM, 0, channel), "socketpair");
		int pid = must(fork(), "fork");

		if (pid == 0) {
			int fd = receive_fd(channel[1]);

			if (i % 2)
				must(read(channel[1], &byte, 1), "read");
			must(close(fd), "close");
			_exit(0);
		}
		int fd = open_new("passed", i, O_RDWR, &entry);

		send_fd(channel[0], fd);
		if (i % 2 == 0)
			wait_for_child(pid);
		close_traced(fd, entry);
		if (i % 2) {
			must(write(channel[0], &byte, 1), "write");
			wait_for_child(pid);
		}
		must(close(channel[0]), "close");
		must(close(channel[1]), "close");
	}
}

static void taken_fds(int count)
{
	for (int i = 0; i < count; i++) {
		struct expected *entry;
		int fd = open_new("taken", i, O_RDWR, &entry);
		int parent = getpid(), pid = must(fork(), "fork");

		if (pid == 0) {
			int handle = must(syscall(SYS_pidfd_open, parent, 0), "pidfd_open");
			int taken = (int)syscall(SYS_pidfd_getfd, handle, fd, 0);

			must(close(must(taken, "pidfd_getfd")), "close");
			_exit(0);
		}
		wait_for_child(pid);
		close_traced(fd, entry);
	}
}

const struct scenario sharing_scenarios[] = {
	{ "forks", forks, 0 },
	{ "spawns", spawns, 0 },
	{ "shared-table-execs", shared_table_execs, 0 },
	{ "shared-table-closes", shared_table_closes, 0 },
	{ "unshares", unshares, 0 },
	{ "passed-fds", passed_fds, 0 },
	{ "taken-fds", taken_fds, 0 },
	{ 0 },
};
