/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Which container a task belongs to, what the policy says of it, and who opens: it or its runtime. */
#ifndef FDSPAN_SCOPE_BPF_H
#define FDSPAN_SCOPE_BPF_H

#include "namespaces.bpf.h"

/* scope.host: what belongs to no container. */
static struct scope_policy host_policy = { .container = 0,
					   .verdict = VERDICT_TRACE,
					   .described = 1 }; /* 1: traced in every phase */

/*
 * The v2 group is asked first; where it is no container's (v1 and hybrid hosts), that of the chosen v1 hierarchy is. So is
 * one that lies deeper: a runtime inside of a container may find the v1 hierarchies only.
 */
static __always_inline struct scope_policy *policy_of_groups(u64 task)
{
	u64 groups = WORD(task_struct, task, cgroups);
	struct scope_policy *found = NULL;
	struct scope_policy *other;

	if (settings.by_cgroup2)
		found = policy_of_scope(scope_of_group2(groups));
	if (settings.cgroup1_subsys < 0)
		return found;
	if (found && found->verdict != VERDICT_IGNORE &&
	    READ(cgroup, WORD(css_set, groups, dfl_cgrp), level) >=
		    READ(cgroup, group1_of(groups), level))
		return found;
	other = policy_of_scope(scope_of_group1(groups));
	return other && other->verdict != VERDICT_IGNORE ? other : found;
}

/*
 * Returns the policy of a task that is to be traced, or NULL. `meets`: a namespace that isn't known is added, and told
 * to user space by this task.
 */
static __always_inline struct scope_policy *policy_of_task(u64 task, bool meets)
{
	struct scope_policy *found = settings.scope_by == SCOPE_CGROUP2
					     ? policy_of_groups(task)
					     : policy_of_namespace(task, meets);

	if (found && found->verdict != VERDICT_IGNORE)
		return found->verdict >= VERDICT_UNJUDGED ? found : NULL;
	return settings.trace_host ? &host_policy : NULL;
}

static __always_inline struct scope_policy *traced_policy(u64 task)
{
	return policy_of_task(task, false);
}

/*
 * A runtime enters the container's group before it executes the container's program: until the
 * first exec there, with a host program inside the container's mount namespace, or still in the
 * host's while the container has its own, it is the runtime that opens.
 */
static __always_inline bool is_runtime_phase(u64 task, struct scope_policy *scope)
{
	u32 described = scope->described;
	u32 own;

	if (settings.scope_by != SCOPE_CGROUP2 &&
	    mount_namespace_of_task(task) != settings.host_mnt_ns)
		return is_entering(task);
	if (!described) {
		struct scope_policy *container = policy_of_scope(scope->container);

		if (!container || !container->described)
			return true;
		described = container->described;
	}
	own = mount_namespace_of_task(task);
	if (own == settings.host_mnt_ns)
		return described != own && described != 1;
	return mount_namespace_of_executable(task) == settings.host_mnt_ns;
}

/*
 * A program of the host in a group that nobody has judged, where nothing was executed yet: a service's or a runtime's, and
 * the host's in both cases.
 */
static __always_inline bool is_still_hosts(u64 task, struct scope_policy *scope)
{
	return settings.trace_host && verdict_of(scope) == VERDICT_UNJUDGED &&
	       mount_namespace_of_task(task) == settings.host_mnt_ns;
}

/* The policy of a task that opens a file, or NULL when that is not to be traced. */
static __always_inline struct scope_policy *policy_at_open(u64 task)
{
	struct scope_policy *scope = policy_of_task(task, true);

	if (!scope || is_self(task))
		return NULL;
	if (settings.runtime_phase || !is_runtime_phase(task, scope))
		return scope;
	return is_still_hosts(task, scope) ? &host_policy : NULL;
}

#endif
