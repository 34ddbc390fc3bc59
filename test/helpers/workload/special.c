/* SPDX-License-Identifier: Apache-2.0 */
/* Calls whose entry and exit don't come in pairs (signals, seccomp), and closes that aren't calls (io_uring). */
#define _GNU_SOURCE
#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile sig_atomic_t signals;

static void on_signal(int number)
{
	(void)number;
	signals++;
}

struct opener {
	const char *path;
	pthread_t target;
	int restarts;
};

/* Signals the thread that waits in its open; then opens the other end, so that a restarted open ends. */
static void *disturb(void *argument)
{
	struct opener *opener = argument;

	for (int seen = signals, tries = 0; signals == seen && tries < 1000; tries++) {
		usleep(5000); /* so long that the open is waiting, and again when it wasn't yet */
		pthread_kill(opener->target, SIGUSR1);
		usleep(1000);
	}
	if (opener->restarts)
		open_and_close(opener->path, O_WRONLY);
	return NULL;
}

static void interrupted_open(int index, int restarts)
{
	char *path = format("%s/fifo-%d-%d", work_dir, restarts, index);
	struct sigaction action = { .sa_handler = on_signal,
				    .sa_flags = restarts ? SA_RESTART : 0 };
	struct opener opener = { path, pthread_self(), restarts };
	pthread_t thread;

	must(mkfifo(path, 0600), "mkfifo");
	must(sigaction(SIGUSR1, &action, NULL), "sigaction");
	if (pthread_create(&thread, NULL, disturb, &opener))
		die("pthread_create");
	struct expected *entry = open_begins("fifo", O_RDONLY);
	int fd = open(path, O_RDONLY);

	if (restarts)
		close_traced(open_ended(entry, fd), entry);
	else
		open_failed(entry, fd, EINTR, path);
	pthread_join(thread, NULL);
}

static void interrupted_opens(int count)
{
	for (int i = 0; i < count; i++) {
		interrupted_open(i, 1);
		interrupted_open(i, 0);
	}
}

/* Refuses openat with O_NOFOLLOW by EPERM, before the call is entered. */
static void refuse_nofollow(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_NOFOLLOW, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), "seccomp");
}

static void seccomp_refused(int count)
{
	int pid = must(fork(), "fork");

	if (pid) {
		wait_for_child(pid);
		return;
	}
	refuse_nofollow();
	for (int i = 0; i < count; i++) {
		struct expected *entry, *refused;
		char *path = make_file("seccomp", i);
		int fd = open_traced(path, O_RDONLY, &entry);

		usleep(3000); /* more than the tolerance of the comparison: an earlier start would show */
		refused = open_begins("openat refused by seccomp", O_RDONLY | O_NOFOLLOW);
		open_failed(refused,
			    (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_NOFOLLOW, 0),
			    EPERM, path);
		close_traced(fd, entry);
	}
	_exit(0);
}

struct uring {
	int fd;
	struct io_uring_params parameters;
	char *rings;
	struct io_uring_sqe *entries;
};

static void uring_open(struct uring *uring)
{
	memset(uring, 0, sizeof(*uring));
	uring->fd = (int)syscall(SYS_io_uring_setup, 4, &uring->parameters);
	if (uring->fd < 0)
		skip("io_uring is not to be had here");
	struct io_uring_params *p = &uring->parameters;
	size_t bytes = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);

	if (bytes < p->sq_off.array + p->sq_entries * sizeof(unsigned int))
		bytes = p->sq_off.array + p->sq_entries * sizeof(unsigned int);
	uring->rings = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, uring->fd,
			    IORING_OFF_SQ_RING);
	uring->entries = mmap(NULL, p->sq_entries * sizeof(struct io_uring_sqe),
			      PROT_READ | PROT_WRITE, MAP_SHARED, uring->fd, IORING_OFF_SQES);
	if (uring->rings == MAP_FAILED || uring->entries == MAP_FAILED)
		die("mmap of io_uring");
}

static void uring_close(struct uring *uring, int fd)
{
	struct io_uring_params *p = &uring->parameters;
	unsigned int *tail = (unsigned int *)(uring->rings + p->sq_off.tail);
	unsigned int mask = *(unsigned int *)(uring->rings + p->sq_off.ring_mask);
	unsigned int *head = (unsigned int *)(uring->rings + p->cq_off.head);

	memset(&uring->entries[*tail & mask], 0, sizeof(struct io_uring_sqe));
	uring->entries[*tail & mask].opcode = IORING_OP_CLOSE;
	uring->entries[*tail & mask].fd = fd;
	((unsigned int *)(uring->rings + p->sq_off.array))[*tail & mask] = *tail & mask;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	must(syscall(SYS_io_uring_enter, uring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0),
	     "io_uring_enter");
	unsigned int cq_mask = *(unsigned int *)(uring->rings + p->cq_off.ring_mask);
	struct io_uring_cqe *done =
		(struct io_uring_cqe *)(uring->rings + p->cq_off.cqes) + (*head & cq_mask);

	must(done->res, "IORING_OP_CLOSE");
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
}

/* The first is closed where no hook sees it, the second takes its number and its struct file. */
static void uring_closes(int count)
{
	struct uring uring;

	uring_open(&uring);
	for (int i = 0; i < count; i++) {
		struct expected *missed, *entry;
		int fd = open_new("uring", i * 2, O_RDONLY, &missed);

		close_begins(missed);
		uring_close(&uring, fd);
		close_ended(missed, "lost");
		missed->closed_after_ns = 0; /* whenever it is noticed */
		int second = open_new("uring", i * 2 + 1, O_RDWR, &entry);

		if (second != fd)
			die("the number was not reused");
		close_traced(second, entry);
	}
}

const struct scenario special_scenarios[] = {
	{ "interrupted-opens", interrupted_opens, 0 },
	{ "seccomp-refused", seccomp_refused, 0 },
	{ "uring-closes", uring_closes, 0 },
	{ 0 },
};
