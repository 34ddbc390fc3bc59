// Which workload a Kubernetes pod belongs to, from the labels that its controller set and the pod's name. Only what
// both agree on counts: anybody may put a label on a pod, and a wrong name is worse than none.

export interface Workload {
  /** The kind in lower case, as in `k8s.<kind>.name`. */
  readonly kind: 'deployment' | 'statefulset' | 'daemonset' | 'job';
  readonly name: string;
}

/** Longest name of a Kubernetes object, a DNS subdomain. */
const OBJECT_NAME_CHARS_MAX = 253;
const OBJECT_NAME = /^[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?$/;

/** What the API server appends to `generateName`: five characters without vowels and look-alikes. */
const RANDOM_SUFFIX = /^-[bcdfghjklmnpqrstvwxz2456789]{5}$/;
const RANDOM_SUFFIX_CHARS = 6;

/** Of deployments and replica sets: a 32-bit hash in decimal digits that stand for letters of that alphabet. */
const TEMPLATE_HASH = /^[bcdfghjklmnpqrstvwxz2456789]{1,10}$/;

/** A generated name of this length may have lost the end of its owner's name before the suffix. */
const GENERATED_NAME_CHARS_MAX = 63;

/**
 * Returns the workload of a pod, or null where its labels don't tell for certain: pods made by hand, bare replica
 * sets, names that were cut because they were too long, and other controllers. A cron job's pods tell of the job
 * only. `labels` are the pod's, not the container's.
 */
export function workloadOfPod(podName: string, labels: ReadonlyMap<string, string>): Workload | null {
  if (!isObjectName(podName)) return null;
  return (
    statefulSetOf(podName, labels) ??
    jobOf(podName, labels) ??
    deploymentOf(podName, labels) ??
    daemonSetOf(podName, labels)
  );
}

function isObjectName(text: string): boolean {
  return text.length <= OBJECT_NAME_CHARS_MAX && OBJECT_NAME.test(text);
}

function named(kind: Workload['kind'], name: string | null): Workload | null {
  return name !== null && isObjectName(name) ? { kind, name } : null;
}

/** Cuts the random suffix off; null where there is none. */
function ownerNameOf(podName: string): string | null {
  const suffix = podName.slice(-RANDOM_SUFFIX_CHARS);
  return RANDOM_SUFFIX.test(suffix) ? podName.slice(0, -RANDOM_SUFFIX_CHARS) : null;
}

function statefulSetOf(podName: string, labels: ReadonlyMap<string, string>): Workload | null {
  if (labels.get('statefulset.kubernetes.io/pod-name') !== podName) return null;
  const dash = podName.lastIndexOf('-');
  if (!/^(?:0|[1-9]\d*)$/.test(podName.slice(dash + 1))) return null;
  return named('statefulset', podName.slice(0, Math.max(dash, 0)));
}

function jobOf(podName: string, labels: ReadonlyMap<string, string>): Workload | null {
  const job = labels.get('batch.kubernetes.io/job-name') ?? labels.get('job-name');
  // `-SUFFIX`, or `-INDEX-SUFFIX` of an indexed job.
  const owner = ownerNameOf(podName);
  if (job === undefined || owner === null || !isObjectName(job)) return null;
  const isOwn = owner === job || (owner.startsWith(`${job}-`) && /^\d+$/.test(owner.slice(job.length + 1)));
  return isOwn ? named('job', job) : null;
}

function deploymentOf(podName: string, labels: ReadonlyMap<string, string>): Workload | null {
  const hash = labels.get('pod-template-hash');
  if (hash === undefined || !TEMPLATE_HASH.test(hash)) return null;
  const replicaSet = ownerNameOf(podName);
  return replicaSet?.endsWith(`-${hash}`) === true
    ? named('deployment', replicaSet.slice(0, -hash.length - 1))
    : null;
}

function daemonSetOf(podName: string, labels: ReadonlyMap<string, string>): Workload | null {
  const isDaemon = labels.has('controller-revision-hash') && labels.has('pod-template-generation');
  return isDaemon && podName.length < GENERATED_NAME_CHARS_MAX
    ? named('daemonset', ownerNameOf(podName))
    : null;
}
