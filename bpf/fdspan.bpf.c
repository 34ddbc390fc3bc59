// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The programs of tracepoint mode, each named after its hook, in one object: they share the maps.
 * "pid" and "tid" are user words here as in record.h; the kernel's own are tgid and pid.
 */
#include "groups.bpf.h"
#include "exit.bpf.h"
#include "held.bpf.h"
#include "processes.bpf.h"
#include "sweeps.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
