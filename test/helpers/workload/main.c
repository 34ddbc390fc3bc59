/* SPDX-License-Identifier: Apache-2.0 */
/* workload SCENARIO COUNT DIRECTORY [ARGUMENT...]: waits for a byte, runs, prints what it did. */
#define _GNU_SOURCE
#include "workload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *scenario_name = "", *work_dir, *self_exe;
char **extra_args;
int extra_count;

static const struct scenario *const groups[] = {
	open_scenarios,	  close_scenarios,   process_scenarios, sharing_scenarios,
	thread_scenarios, special_scenarios, mount_scenarios,	load_scenarios,
	counted_scenarios, io_scenarios,
};

static const struct scenario *find(const char *name)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		for (const struct scenario *one = groups[i]; one->name; one++)
			if (strcmp(one->name, name) == 0)
				return one;
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: workload SCENARIO COUNT DIRECTORY [ARGUMENT...]\n");
		return 64;
	}
	if (strcmp(argv[1], "noop") == 0)
		return 0;
	if (strcmp(argv[1], "clock") == 0) {
		print_clock_offset();
		return 0;
	}
	scenario_name = argv[1];
	work_dir = argv[3];
	self_exe = realpath("/proc/self/exe", NULL);
	extra_args = argv + 4;
	extra_count = argc - 4;
	const struct scenario *scenario = find(scenario_name);

	if (!scenario) {
		errno = EINVAL;
		die("no such scenario");
	}
	report_init();
	if (!scenario->prepares)
		wait_for_go();
	scenario->run(atoi(argv[2]));
	report_print();
	return 0;
}
