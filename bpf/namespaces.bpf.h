/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The groups and namespaces of a task, the scope that one of them makes, and what user space is told of a task in it. */
#ifndef FDSPAN_NAMESPACES_BPF_H
#define FDSPAN_NAMESPACES_BPF_H

#include "path.bpf.h"
#include "policy.bpf.h"

#define SCOPE_KIND_SHIFT 62
#define SCOPE_BIRTH_BITS 30
#define START_TIME_SHIFT 20 /* a millisecond; 30 bits of them are 13 days */

static __always_inline u64 cgroup_id(u64 cgroup)
{
	return WORD(kernfs_node, WORD(cgroup, cgroup, kn), id);
}

static __always_inline u64 scope_of_group2(u64 groups)
{
	return cgroup_id(WORD(css_set, groups, dfl_cgrp));
}

/* fdspan itself, which is never traced: 0 before it has told. Not static: see own_call in self-test.bpf.h. */
u32 self_tgid = 0;

/* User space can't know it: its own number is another in a pid namespace. Runs in the process that runs it. */
SEC("syscall")
int know_self(void *arguments)
{
	self_tgid = bpf_get_current_pid_tgid() >> 32;
	return 0;
}

static __always_inline bool is_self(u64 task)
{
	return (u32)READ(task_struct, task, tgid) == self_tgid;
}

/* The group in the chosen v1 hierarchy. */
static __always_inline u64 group1_of(u64 groups)
{
	u64 state = read_word(ADDRESS(css_set, groups, subsys) +
			      (u64)settings.cgroup1_subsys * sizeof(u64));

	return WORD(cgroup_subsys_state, state, cgroup);
}

static __always_inline u64 scope_of_group1(u64 groups)
{
	return cgroup_id(group1_of(groups)) | (u64)SCOPE_CGROUP1 << SCOPE_KIND_SHIFT;
}

static __always_inline u32 mount_namespace_of_task(u64 task)
{
	u64 proxy = WORD(task_struct, task, nsproxy);

	return READ(mnt_namespace, WORD(nsproxy, proxy, mnt_ns), ns.inum);
}

static __always_inline u32 mount_namespace_of_executable(u64 task)
{
	u64 executable = WORD(mm_struct, WORD(task_struct, task, mm), exe_file);
	u64 mnt = WORD(file, executable, f_path.mnt);

	return READ(mnt_namespace, WORD(mount, mount_of(mnt), mnt_ns), ns.inum);
}

/* The number that a task has in its own pid namespace, with that namespace: struct upid. */
static __always_inline u64 own_upid(u64 task)
{
	u64 pid = WORD(task_struct, task, thread_pid);
	u64 level = READ(pid, pid, level) & 31;

	return ADDRESS(pid, pid, numbers) + level * bpf_core_type_size(struct upid);
}

static __always_inline void fill_namespaces(u32 *namespaces, u64 task)
{
	u64 proxy = WORD(task_struct, task, nsproxy);
	u64 cred = WORD(task_struct, task, cred);

	namespaces[NS_MNT] = READ(mnt_namespace, WORD(nsproxy, proxy, mnt_ns), ns.inum);
	namespaces[NS_PID] = READ(pid_namespace, WORD(upid, own_upid(task), ns), ns.inum);
	namespaces[NS_UTS] = READ(uts_namespace, WORD(nsproxy, proxy, uts_ns), ns.inum);
	namespaces[NS_NET] = READ(net, WORD(nsproxy, proxy, net_ns), ns.inum);
	namespaces[NS_IPC] = READ(ipc_namespace, WORD(nsproxy, proxy, ipc_ns), ns.inum);
	namespaces[NS_USER] = READ(user_namespace, WORD(cred, cred, user_ns), ns.inum);
	namespaces[NS_CGROUP] = READ(cgroup_namespace, WORD(nsproxy, proxy, cgroup_ns), ns.inum);
}

/* Still the runtime's program, inside the container's mount namespace: what it was executed from is the host's. */
static __always_inline bool is_entering(u64 task)
{
	return mount_namespace_of_task(task) != settings.host_mnt_ns &&
	       mount_namespace_of_executable(task) == settings.host_mnt_ns;
}

/* Tells process, groups, namespaces and host name of a task; false when the ring is full, which is counted. */
static __always_inline bool tell_task(u32 kind, u64 scope, u64 task)
{
	struct scope_described_record *record;
	u64 leader = WORD(task_struct, task, group_leader);
	u64 groups = WORD(task_struct, task, cgroups);
	u64 uts = WORD(nsproxy, WORD(task_struct, task, nsproxy), uts_ns);
	u64 hostname = ADDRESS(uts_namespace, uts, name.nodename);

	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		count(COUNTER_SCOPE_RECORDS_LOST);
		return false;
	}
	record->kind = kind;
	record->reserved[0] = record->reserved[1] = record->reserved[2] = 0;
	record->reserved2 = 0;
	record->pid = READ(task_struct, task, tgid);
	record->scope = scope;
	record->process_started_boot_ns = WORD(task_struct, leader, start_boottime);
	record->cgroup2 = settings.by_cgroup2 ? scope_of_group2(groups) : 0;
	record->cgroup1 = settings.cgroup1_subsys >= 0 ? scope_of_group1(groups) : 0;
	fill_namespaces(record->namespaces, task);
#pragma unroll
	for (int i = 0; i < HOSTNAME_BYTES / 8; i++)
		((u64 *)record->hostname)[i] = read_word(hostname + i * 8);
	bpf_ringbuf_submit(record, BPF_RB_FORCE_WAKEUP);
	return true;
}

static __always_inline u64 namespace_scope(u64 kind, u32 number, u64 birth)
{
	return kind << SCOPE_KIND_SHIFT | (birth & ((1ULL << SCOPE_BIRTH_BITS) - 1)) << 32 | number;
}

static __always_inline u64 scope_of_mount_namespace(u64 task)
{
	u64 namespace = WORD(nsproxy, WORD(task_struct, task, nsproxy), mnt_ns);
	u32 number = READ(mnt_namespace, namespace, ns.inum);
	u64 birth = 0;

	if (!number || number == settings.host_mnt_ns)
		return 0;
	if (bpf_core_field_exists(((struct ns_common___id *)0)->ns_id))
		birth = WORD(ns_common___id, ADDRESS(mnt_namespace, namespace, ns), ns_id);
	else if (bpf_core_field_exists(((struct mnt_namespace___seq *)0)->seq))
		birth = WORD(mnt_namespace___seq, namespace, seq);
	return namespace_scope(SCOPE_MNTNS, number, birth);
}

static __always_inline u64 scope_of_pid_namespace(u64 task)
{
	u64 pid = WORD(task_struct, task, thread_pid);
	u64 namespace = WORD(upid, own_upid(task), ns);
	u32 number = READ(pid_namespace, namespace, ns.inum);
	u64 birth;

	if (!number || number == settings.host_pid_ns || !READ(pid, pid, level))
		return 0;
	if (bpf_core_field_exists(((struct ns_common___id *)0)->ns_id))
		birth = WORD(ns_common___id, ADDRESS(pid_namespace, namespace, ns), ns_id);
	else
		birth = WORD(task_struct, WORD(pid_namespace, namespace, child_reaper),
			     start_boottime) >>
			START_TIME_SHIFT;
	return namespace_scope(SCOPE_PIDNS, number, birth);
}

/* The scope of the namespace that a task is in; 0 for the host's own. */
static __always_inline u64 scope_of_namespace(u64 task)
{
	return settings.scope_by == SCOPE_MNTNS ? scope_of_mount_namespace(task)
						: scope_of_pid_namespace(task);
}

/* Adds the namespace if it isn't known, and tells it by this task. Once: by one compare-and-swap. */
static __noinline struct scope_policy *meet_namespace(u64 task, u64 scope)
{
	struct scope_policy given = { .container = scope, .verdict = VERDICT_UNTOLD };
	struct scope_policy *found = policy_of_scope(scope);

	if (!found) {
		if (!add_policy(scope, &given)) {
			count(COUNTER_SCOPE_TABLE_FULL);
			return NULL;
		}
		found = policy_of_scope(scope);
	}
	if (!found || __sync_val_compare_and_swap(&found->verdict, VERDICT_UNTOLD,
						  VERDICT_UNJUDGED) != VERDICT_UNTOLD)
		return found;
	if (!tell_task(RECORD_NAMESPACE_MET, scope, task))
		/* The next open tries again. */
		__sync_val_compare_and_swap(&found->verdict, VERDICT_UNJUDGED, VERDICT_UNTOLD);
	return found;
}

static __always_inline struct scope_policy *policy_of_namespace(u64 task, bool meets)
{
	u64 scope = scope_of_namespace(task);
	struct scope_policy *found = scope ? policy_of_scope(scope) : NULL;

	if (!meets || !scope || (found && found->verdict != VERDICT_UNTOLD))
		return found;
	/* A runtime may not have moved the process into its group yet: who it is would be told wrongly. */
	if (!settings.runtime_phase && is_entering(task))
		return NULL;
	if (is_self(task))
		return NULL;
	return meet_namespace(task, scope);
}

#endif
