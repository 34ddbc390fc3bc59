/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps what the scenarios write down, in memory shared by all their processes, and prints it. */
#define _GNU_SOURCE
#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EXPECTED_MAX  65536	   /* the largest scenario that lists its spans makes some 20,000 */
#define STRINGS_BYTES (256u << 20) /* reserved, not used: paths of 4 KiB for every entry */

static struct shared {
	atomic_int count;
	atomic_size_t strings_used;
	struct expected entries[EXPECTED_MAX];
} *shared;
static char *strings;

static void *shared_memory(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap");
	return memory;
}

void report_init(void)
{
	shared = shared_memory(sizeof(*shared));
	strings = shared_memory(STRINGS_BYTES);
}

uint64_t boot_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void print_clock_offset(void)
{
	uint64_t narrowest = UINT64_MAX;
	int64_t offset = 0;

	for (int i = 0; i < 1000; i++) {
		struct timespec wall;
		uint64_t before = boot_ns();

		clock_gettime(CLOCK_REALTIME, &wall);
		uint64_t after = boot_ns();

		if (after - before >= narrowest)
			continue;
		narrowest = after - before;
		offset = (int64_t)wall.tv_sec * 1000000000 + wall.tv_nsec -
			 (int64_t)(before + narrowest / 2);
	}
	printf("%lld\n", (long long)offset);
}

char *keep_string(const char *text, size_t bytes)
{
	size_t at = atomic_fetch_add(&shared->strings_used, bytes + 1);

	if (at + bytes + 1 > STRINGS_BYTES)
		die("no room for strings");
	memcpy(strings + at, text, bytes);
	strings[at + bytes] = 0;
	return strings + at;
}

char *format(const char *pattern, ...)
{
	char text[8192];
	va_list arguments;

	va_start(arguments, pattern);
	int bytes = vsnprintf(text, sizeof(text), pattern, arguments);
	va_end(arguments);
	if (bytes < 0 || (size_t)bytes >= sizeof(text))
		die("format");
	return keep_string(text, (size_t)bytes);
}

void die(const char *what)
{
	dprintf(2, "workload %s: %s: %s\n", scenario_name, what, strerror(errno));
	_exit(1);
}

void skip(const char *reason)
{
	dprintf(1, "{\"skip\":\"%s\"}\n", reason);
	_exit(0);
}

int must(long result, const char *what)
{
	if (result < 0)
		die(what);
	return (int)result;
}

struct expected *open_begins(const char *how, int flags)
{
	int index = atomic_fetch_add(&shared->count, 1);

	if (index >= EXPECTED_MAX)
		die("too many expected spans");
	struct expected *entry = &shared->entries[index];

	*entry = (struct expected){
		.how = how, .flags = flags, .pid = getpid(), .tid = (int)syscall(SYS_gettid)
	};
	entry->opened_before_ns = boot_ns();
	return entry;
}

int open_ended(struct expected *entry, int fd)
{
	char link[64], target[4200];

	entry->opened_after_ns = boot_ns();
	must(fd, entry->how);
	entry->fd = fd;
	if (entry->from_argument)
		return fd;
	snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", fd);
	ssize_t bytes = readlink(link, target, sizeof(target));

	must(bytes, "readlink /proc/thread-self/fd");
	entry->path = keep_string(target, (size_t)bytes);
	entry->path_bytes = (size_t)bytes;
	return fd;
}

void open_failed(struct expected *entry, int fd, int error, const char *path)
{
	int seen = errno;

	entry->opened_after_ns = boot_ns();
	if (fd >= 0 || seen != error) {
		dprintf(2, "%s: expected %s, result %d, errno %s\n", entry->how,
			strerrorname_np(error), fd, strerror(seen));
		_exit(1);
	}
	entry->path = path;
	entry->path_bytes = strlen(path);
	entry->error = error;
	entry->fd = -error;
	entry->reason = "";
	entry->closed_before_ns = entry->opened_before_ns;
	entry->closed_after_ns = entry->opened_after_ns;
}

void close_begins(struct expected *entry)
{
	entry->closed_before_ns = boot_ns();
}

void close_ended(struct expected *entry, const char *reason)
{
	entry->closed_after_ns = boot_ns();
	entry->reason = reason;
}

void forget(struct expected *entry)
{
	entry->how = NULL;
}

/* Each byte of a path becomes one character (Latin-1), so that any bytes can be told in JSON. */
void print_bytes(const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		unsigned char byte = (unsigned char)bytes[i];

		if (byte < 0x20 || byte >= 0x7f || byte == '"' || byte == '\\')
			printf("\\u%04x", byte);
		else
			putchar(byte);
	}
}

void report_print(void)
{
	for (int i = 0; i < shared->count; i++) {
		const struct expected *entry = &shared->entries[i];

		if (!entry->how)
			continue;
		printf("{\"how\":\"%s\",\"path\":\"", entry->how);
		print_bytes(entry->path ? entry->path : "", entry->path_bytes);
		printf("\",\"pid\":%d,\"tid\":%d,\"fd\":%d,\"flags\":%d,\"reason\":\"%s\",\"error\":\"%s\",\"adopted\":%d",
		       entry->pid, entry->tid, entry->fd, entry->flags,
		       entry->reason ? entry->reason : "stop",
		       entry->error ? strerrorname_np(entry->error) : "", entry->adopted);
		printf(",\"opened\":[\"%llu\",\"%llu\"],\"closed\":[\"%llu\",\"%llu\"]}\n",
		       (unsigned long long)entry->opened_before_ns,
		       (unsigned long long)entry->opened_after_ns,
		       (unsigned long long)entry->closed_before_ns,
		       (unsigned long long)entry->closed_after_ns);
	}
	printf("{\"done\":true}\n");
	fflush(stdout);
}
