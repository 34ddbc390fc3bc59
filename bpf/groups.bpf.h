/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The policy map as groups come and go, what user space decides of them, and what is told of containers. */
#ifndef FDSPAN_GROUPS_BPF_H
#define FDSPAN_GROUPS_BPF_H

#include "pair.bpf.h"
#include <bpf/bpf_tracing.h>

static __always_inline u64 scope_with_policy(u64 task, const struct scope_policy *policy)
{
	u64 groups = WORD(task_struct, task, cgroups);
	u64 scope = scope_of_group2(groups);

	if (settings.cgroup1_subsys < 0 || (settings.by_cgroup2 && policy_of_scope(scope) == policy))
		return scope;
	return scope_of_group1(groups);
}

/* Traced in every phase, and to be told of: the ring was full. No namespace has this number. */
#define DESCRIBE_AGAIN 1

/* Takes it upon itself to tell of a scope, once: by one compare-and-swap. Never of one that is told of already. */
static __always_inline void tell_described(struct scope_policy *policy, u64 scope, u32 namespace,
					   u64 task)
{
	u32 before = policy->described;

	if (before > DESCRIBE_AGAIN ||
	    __sync_val_compare_and_swap(&policy->described, before, namespace) != before)
		return;
	if (!tell_task(RECORD_SCOPE_DESCRIBED, scope, task))
		policy->described = DESCRIBE_AGAIN;
}

/*
 * The first program in a group that was made inside of a container, in a mount namespace that isn't that container's: it
 * may be a container of its own. Unless user space has judged the group already, what it opens waits for that.
 */
static __always_inline void describe_nested(struct scope_policy *nested, u32 namespace, u64 task)
{
	u64 scope = scope_with_policy(task, nested);
	u32 verdict = nested->verdict;

	if (verdict_of(nested) == VERDICT_INHERITED &&
	    __sync_val_compare_and_swap(&nested->verdict, verdict, VERDICT_UNJUDGED) == verdict)
		nested->container = scope;
	tell_described(nested, scope, namespace, task);
}

/*
 * runc executes itself by /proc/self/exe, which its parent may have moved into the container's group by the time that
 * the kernel tells of it. The kernel names a process by the last part of what it executes.
 */
static __always_inline bool has_executed_itself(u64 task)
{
	return (u32)read_word(ADDRESS(task_struct, task, comm)) == ('e' | 'x' << 8 | 'e' << 16);
}

/* Tells namespaces and host name of a container's first process. */
static __always_inline void describe_scope(struct scope_policy *own, u64 task)
{
	u64 scope = own->container;
	struct scope_policy *container = policy_of_scope(scope);
	u32 namespace = mount_namespace_of_task(task);
	u32 before;

	if (!scope)
		return; /* the host itself */
	if (!container)
		container = own;
	/*
	 * A program from outside in the container's mounts is the runtime: the host's, or the outer container's where this
	 * one is nested. So is one from no mount of the container's: runc executes a copy of itself, from memory or a mount
	 * of its own, and may be in the container's group by then.
	 */
	before = container->described;
	if ((before > DESCRIBE_AGAIN && own->described > DESCRIBE_AGAIN) ||
	    namespace != mount_namespace_of_executable(task))
		return;
	if (namespace == settings.host_mnt_ns && has_executed_itself(task))
		return;
	tell_described(container, scope, namespace, task);
	if (own != container && own->described <= DESCRIBE_AGAIN) {
		if (namespace != before)
			describe_nested(own, namespace, task);
		else
			own->described = namespace;
	}
}

/*
 * A service of a container may have executed, and been told of, before the iterator came to the container's own first
 * process. That one began earlier, by which user space prefers it.
 */
static __always_inline void describe_init(const struct scope_policy *own, u64 task)
{
	struct scope_policy *container = policy_of_scope(own->container);
	u32 namespace = mount_namespace_of_task(task);
	u32 before = container ? container->described : 0;

	if (before <= DESCRIBE_AGAIN || before == namespace || namespace == settings.host_mnt_ns)
		return;
	if (virtual_pid(WORD(task_struct, task, group_leader)) != 1 ||
	    namespace != mount_namespace_of_executable(task))
		return;
	if (tell_task(RECORD_SCOPE_DESCRIBED, own->container, task))
		container->described = namespace;
}

/* Describes the containers that run when fdspan starts; the lowest pid comes first. */
SEC("iter/task")
int describe_tasks(struct bpf_iter__task *context)
{
	struct task_struct *visited = context->task;
	struct scope_policy *scope;

	if (!visited)
		return 0;
	scope = policy_of_task((u64)visited, true);
	if (!scope)
		return 0;
	describe_scope(scope, (u64)visited);
	describe_init(scope, (u64)visited);
	return 0;
}

/* Gives the scopes of the namespaces that tasks are in: no hook tells of a namespace's end. */
SEC("iter/task")
int list_namespaces(struct bpf_iter__task *context)
{
	struct task_struct *visited = context->task;
	u64 scope = visited ? scope_of_namespace(address_of(visited)) : 0;

	if (scope)
		bpf_seq_write(context->meta->seq, &scope, sizeof(scope));
	return 0;
}

/* The scope of a group in the hierarchies that are watched; 0 for another. */
static __always_inline u64 watched_scope(u64 group)
{
	u64 root = WORD(cgroup, group, root);

	if (!READ(cgroup_root, root, hierarchy_id))
		return settings.by_cgroup2 ? cgroup_id(group) : 0;
	if (settings.cgroup1_subsys >= 0 &&
	    READ(cgroup_root, root, subsys_mask) >> settings.cgroup1_subsys & 1)
		return cgroup_id(group) | (u64)SCOPE_CGROUP1 << SCOPE_KIND_SHIFT;
	return 0;
}

#define CREATED_BYTES_MAX (sizeof(struct scope_created_record) + CGROUP_PATH_BYTES_MAX)

struct created_buffer {
	struct scope_created_record record;
	char path[CGROUP_PATH_BYTES_MAX];
};

/* The tracepoint holds a spin lock while it runs: nothing else on this CPU uses it. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct created_buffer);
} created_buffers SEC(".maps");

static __always_inline void tell_created(u64 scope, const struct scope_policy *given,
					 const char *path)
{
	u32 zero = 0;
	struct created_buffer *buffer = bpf_map_lookup_elem(&created_buffers, &zero);
	u64 bytes;
	long length;

	if (!buffer)
		return;
	length = bpf_probe_read_kernel_str(buffer->path, CGROUP_PATH_BYTES_MAX, path);
	bytes = length > 0 ? length - 1 : 0;
	buffer->record.kind = RECORD_SCOPE_CREATED;
	buffer->record.path_bytes = bytes;
	buffer->record.flags = bytes >= CGROUP_PATH_BYTES_MAX - 1 ? PAIR_PATH_TRUNCATED : 0;
	buffer->record.scope = scope;
	buffer->record.container = given->container;
	buffer->record.verdict = verdict_of(given) == VERDICT_INHERITED ? VERDICT_TRACE
									: verdict_of(given);
	bytes += sizeof(struct scope_created_record);
	BARRIER(bytes);
	if (bytes > CREATED_BYTES_MAX)
		return;
	if (bpf_ringbuf_output(&ring, buffer, bytes, BPF_RB_FORCE_WAKEUP))
		count(COUNTER_SCOPE_RECORDS_LOST);
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_mkdir, struct cgroup *made, const char *path)
{
	u64 group = (u64)made;
	u64 scope = watched_scope(group);
	u64 parent = WORD(cgroup_subsys_state, ADDRESS(cgroup, group, self), parent);
	struct scope_policy given = { .container = scope, .verdict = VERDICT_UNJUDGED };
	struct scope_policy *above;
	u64 parent_scope;
	u32 inherited;

	if (!scope)
		return 0;
	if (settings.scope_by != SCOPE_CGROUP2) {
		/* Only its path matters: the processes that are met in a namespace name it. */
		tell_created(scope, &given, path);
		return 0;
	}
	parent_scope = cgroup_id(WORD(cgroup_subsys_state, parent, cgroup)) |
		       (scope >> SCOPE_KIND_SHIFT << SCOPE_KIND_SHIFT);
	above = policy_of_scope(parent_scope);
	inherited = above ? verdict_of(above) : VERDICT_IGNORE;
	if (inherited != VERDICT_IGNORE && inherited != VERDICT_UNJUDGED) {
		given.container = above->container;
		/* With the slot, where there is one. */
		given.verdict = inherited == VERDICT_DENY
					? VERDICT_DENY
					: (above->verdict ^ inherited) | VERDICT_INHERITED;
	}
	if (!policy_of_scope(scope) && !add_policy(scope, &given))
		count(COUNTER_SCOPE_TABLE_FULL);
	tell_created(scope, &given, path);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cgroup_rmdir, struct cgroup *removed)
{
	u64 scope = watched_scope((u64)removed);
	struct scope_removed_record *record;

	if (!scope)
		return 0;
	remove_policy(scope);
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		count(COUNTER_SCOPE_RECORDS_LOST);
		return 0;
	}
	__builtin_memset(record, 0, sizeof(*record));
	record->kind = RECORD_SCOPE_REMOVED;
	record->scope = scope;
	bpf_ringbuf_submit(record, 0);
	return 0;
}

/* What user space decided. In place: the kernel may describe the scope at the same moment. */
SEC("syscall")
int judge_scope(struct judge_arguments *arguments)
{
	u64 scope = arguments->scope;
	struct scope_policy given = { .container = arguments->container,
				      .verdict = arguments->verdict };
	struct scope_policy *found = policy_of_scope(scope);

	if (!arguments->verdict) {
		remove_policy(scope);
		return 0;
	}
	if (found && arguments->only_new)
		return 0;
	if (!found) {
		if (!add_policy(scope, &given)) {
			count(COUNTER_SCOPE_TABLE_FULL);
			return 1;
		}
		found = policy_of_scope(scope);
	}
	if (found) {
		u64 *holder =
			(u64 *)((struct policy_entry *)((void *)found -
							offsetof(struct policy_entry, policy)));

		found->container = given.container;
		found->verdict = given.verdict;
		/* Freed and taken by another scope meanwhile: that one is judged anew, its record is on the way. */
		if (*holder != scope) {
			found->container = *holder;
			found->verdict = VERDICT_UNJUDGED;
		}
	}
	return 0;
}

#endif
