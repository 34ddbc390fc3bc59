// What a cgroup path tells of a container: its id, runtime, pod and outer container. The rules and
// their reasons are in docs/decisions/0002-cgroup-path-rules.md. A path is a string with one
// character per byte (latin1); it is hostile, and every rule is linear in its length.
import {
  isHexId,
  isIdentifier,
  isUnitName,
  matchSegment,
  podUidOf,
  type ContainerRuntime,
} from './cgroup-segment.ts';

export type { ContainerRuntime } from './cgroup-segment.ts';

export interface ContainerPath {
  /** The runtime's whole id. */
  readonly containerId: string;
  readonly runtime: ContainerRuntime;
  readonly podUid: string | null;
  /** Id of the container around this one. */
  readonly parentId: string | null;
  /** Ids of the containers around that one, outermost first; left out where it is the outermost. */
  readonly outerIds?: readonly string[];
  /** How many containers are nested here, this one included. */
  readonly depth: number;
  /** The start of the path up to the container's own group. */
  readonly groupPath: string;
  /** Whether the path is the container's own group, not one below it. */
  readonly isOwnGroup: boolean;
  /** Whether only the form `/NAMESPACE/ID` speaks for a container: a host's group may look the same. */
  readonly isGuess: boolean;
  /** Tells apart two containers of one id, where ids are given again. */
  readonly instance?: string;
}

/** Namespaces that containerd's own clients use: their groups need no other proof. */
const CONTAINERD_NAMESPACES = new Set(['default', 'k8s.io', 'moby', 'buildkit', 'services.linuxkit']);

/** First segments that other programs than containerd make; below them, `/NAMESPACE/ID` isn't guessed. */
const OTHER_PARENTS = new Set(
  (
    'docker kubepods kubelet libpod_parent lxc podruntime system user machine init openrc services apps ' +
    'reserved nomad ecs garden mesos slurm yarn hadoop-yarn htcondor elogind unified systemd background ' +
    'foreground top-app restricted session_manager cgroup payload supervisor'
  ).split(' '),
);

/** Names of groups that hold a runtime's helpers, never a container. */
const HELPERS = new Set([
  'conmon',
  'runtime',
  'supervisor',
  'payload',
  'container',
  'init',
  'monitor',
  'tasks',
]);

interface Segment {
  readonly text: string;
  /** Where the segment ends in the path. */
  readonly end: number;
}

interface Found {
  readonly id: string;
  readonly runtime: ContainerRuntime;
  readonly podUid: string | null;
  readonly index: number;
  readonly isGuess: boolean;
}

/** Cuts a path into segments, without what isn't part of it: mount point, `/..`, files, "(deleted)". */
function segmentsOf(path: string): Segment[] {
  const deleted = ' (deleted)';
  const length = path.endsWith(deleted) ? path.length - deleted.length : path.length;
  const segments: Segment[] = [];
  for (let start = 0; start <= length;) {
    const slash = path.indexOf('/', start);
    const end = slash === -1 || slash > length ? length : slash;
    const text = path.slice(start, end);
    if (text !== '' && text !== '.' && !(text === '..' && segments.length === 0))
      segments.push({ text, end });
    start = end + 1;
  }
  const isMounted =
    segments.length > 2 && path.startsWith('/sys/fs/cgroup/') && segments[2].text === 'cgroup';
  if (isMounted) segments.splice(0, 3);
  if (segments.length > 0 && (isMounted || segments[0].text === 'unified')) skipHierarchy(segments);
  if (segments.length > 0 && segments[segments.length - 1].text.startsWith('cgroup.')) segments.pop();
  return segments;
}

const V1_MOUNT =
  /^(unified|systemd|(cpu|cpuacct|cpuset|memory|devices|freezer|blkio|pids|net_cls|net_prio|perf_event|hugetlb|rdma|misc)(,[a-z_]+)*)$/;

function skipHierarchy(segments: Segment[]): void {
  if (segments[0].text.length < 100 && V1_MOUNT.test(segments[0].text)) segments.shift();
}

/** Judges `/NAMESPACE/ID`, where the id is free text. */
function matchNamespace(segments: readonly Segment[]): Found | null {
  if (segments.length < 2) return null;
  const namespace = segments[0].text;
  const id = segments[1].text;
  if (isUnitName(namespace) || isUnitName(id) || HELPERS.has(id)) return null;
  if (!isIdentifier(namespace) || !isIdentifier(id)) return null;
  const isKnown = CONTAINERD_NAMESPACES.has(namespace);
  if (!isKnown) {
    if (segments.length > 2 || isHexId(id)) return null;
    const isOther = OTHER_PARENTS.has(namespace) || /^(lxc|openrc|uid_|kubepods|kubelet)/.test(namespace);
    if (isOther || /^(uid_|pid_|job_|user-|session-|libpod|crio|lxc\.|pod[0-9a-f]{8})/.test(id)) return null;
    if (id.endsWith('.user') || id.includes('conmon')) return null;
  }
  return { id, runtime: 'containerd', podUid: null, index: 1, isGuess: !isKnown };
}

/** Returns the containers of the path, outermost first. */
function findContainers(segments: readonly Segment[]): Found[] {
  const found: Found[] = [];
  const free = matchNamespace(segments);
  if (free !== null) found.push(free);
  let podUid: string | null = null;
  let isUnderNomad = false;
  for (let index = free === null ? 0 : 2; index < segments.length; index++) {
    const text = segments[index].text;
    const parent = index > 0 ? segments[index - 1].text : '';
    const grandparent = index > 1 ? segments[index - 2].text : '';
    const last = found.at(-1);
    // systemd-nspawn's own process waits beside the payload.
    if (text === 'supervisor' && last?.runtime === 'systemd-nspawn' && last.index === index - 1) {
      found.pop();
      continue;
    }
    // A podman pod's group is named by the pod's id alone.
    if (text.startsWith('libpod-') && last?.index === index - 1 && last.runtime === 'unknown') found.pop();
    const uid = podUidOf(text.split(':', 1)[0], parent);
    if (uid !== null) podUid = uid;
    isUnderNomad ||= parent === 'nomad.slice' || parent === 'nomad';
    const isUnderPod = uid === null && podUid !== null && podUidOf(parent, grandparent) !== null;
    const match = matchSegment(text, { parent, grandparent, isUnderPod, isUnderNomad });
    if (match !== null) found.push({ ...match, podUid, index, isGuess: false });
  }
  return found;
}

/** Finds the innermost container of one cgroup path; null where the path belongs to no container. */
export function containerOfPath(path: string): ContainerPath | null {
  const segments = segmentsOf(path);
  const found = findContainers(segments);
  const inner = found.at(-1);
  if (inner === undefined) return null;
  const outer = found.filter(({ id }, index) => id !== inner.id && id !== found[index + 1]?.id);
  const parent = outer.pop();
  return {
    containerId: inner.id,
    runtime: inner.runtime,
    podUid: inner.podUid,
    parentId: parent?.id ?? null,
    ...(outer.length > 0 && { outerIds: outer.map(({ id }) => id) }),
    depth: found.length,
    groupPath: path.slice(0, segments[inner.index].end),
    isOwnGroup: inner.index === segments.length - 1,
    isGuess: inner.isGuess,
  };
}
