// One segment of a cgroup path: does its name, with the names before it, make a container's id?
// Names come from containers and may hold any bytes; every test here is linear in the segment.

export type ContainerRuntime =
  | 'docker'
  | 'podman'
  | 'containerd'
  | 'cri-o'
  | 'lxc'
  | 'systemd-nspawn'
  | 'nomad'
  | 'runc'
  | 'crun'
  | 'runsc'
  | 'unknown';

export interface SegmentMatch {
  readonly id: string;
  readonly runtime: ContainerRuntime;
}

/** The names before a segment that its meaning depends on; '' where there is none. */
export interface SegmentContext {
  readonly parent: string;
  readonly grandparent: string;
  readonly isUnderPod: boolean;
  readonly isUnderNomad: boolean;
}

const HEX_ID_CHARS = 64;
const UUID_CHARS = 36;

/** The prefix of `PREFIX-ID.scope`, `PREFIX-ID` and `…:PREFIX:ID`: who made the group. */
const RUNTIME_OF_PREFIX = new Map<string, ContainerRuntime>([
  ['docker', 'docker'],
  ['libpod', 'podman'],
  ['libpod-payload', 'podman'],
  ['podman', 'podman'],
  ['cri-containerd', 'containerd'],
  ['containerd', 'containerd'],
  ['nerdctl', 'containerd'],
  ['ctr', 'containerd'],
  ['crio', 'cri-o'],
  ['cri-o', 'cri-o'],
]);

/** OCI runtimes that name a scope after themselves when nobody else does; their ids are free text. */
const OCI_SCOPE_PREFIXES = ['runc-', 'crun-', 'youki-', 'runsc-'];

/** Parents of containers whose ids are UUIDs: Cloud Foundry's Garden and the Mesos agent. */
const UUID_PARENTS = new Set(['garden', 'mesos']);

const UNIT_SUFFIXES = [
  '.slice',
  '.service',
  '.scope',
  '.mount',
  '.automount',
  '.socket',
  '.swap',
  '.target',
  '.timer',
  '.path',
  '.device',
];

/** Returns whether the text has the form of a systemd unit's name. */
export function isUnitName(text: string): boolean {
  return UNIT_SUFFIXES.some((suffix) => text.endsWith(suffix));
}

function isHexFrom(text: string, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const code = text.charCodeAt(i);
    const isDigit = code >= 0x30 && code <= 0x39;
    if (!isDigit && !(code >= 0x61 && code <= 0x66)) return false;
  }
  return end > start;
}

/** Returns whether the text is a whole id as docker, podman and CRI runtimes make them. */
export function isHexId(text: string): boolean {
  return text.length === HEX_ID_CHARS && isHexFrom(text, 0, HEX_ID_CHARS);
}

function isUuid(text: string): boolean {
  if (text.length !== UUID_CHARS) return false;
  if (text[8] !== '-' || text[13] !== '-' || text[18] !== '-' || text[23] !== '-') return false;
  return (
    isHexFrom(text, 0, 8) &&
    isHexFrom(text, 9, 13) &&
    isHexFrom(text, 14, 18) &&
    isHexFrom(text, 19, 23) &&
    isHexFrom(text, 24, UUID_CHARS)
  );
}

/** The longest identifier that containerd accepts (identifiers.Validate). */
const IDENTIFIER_CHARS_MAX = 76;
const IDENTIFIER = /^[A-Za-z0-9._-]+$/;

/** Returns whether the text could be a namespace or an id of containerd. */
export function isIdentifier(text: string): boolean {
  return text.length <= IDENTIFIER_CHARS_MAX && IDENTIFIER.test(text) && /^[A-Za-z0-9]/.test(text);
}

/** Undoes systemd's `\xNN`; other backslashes stay as they are. */
export function unescapeUnit(text: string): string {
  if (!text.includes('\\x')) return text;
  return text.replace(/\\x([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
}

const KUBEPODS_PARENTS = new Set(['kubepods', 'besteffort', 'burstable', 'guaranteed']);

/** Returns the pod uid that a segment names (`podUID`, `…kubepods…-podUID.slice`), else null. */
export function podUidOf(segment: string, parent: string): string | null {
  let uid: string;
  if (segment.startsWith('pod') && KUBEPODS_PARENTS.has(parent)) {
    uid = segment.slice('pod'.length);
  } else if (segment.endsWith('.slice') && segment.includes('kubepods')) {
    const at = segment.indexOf('-pod', segment.indexOf('kubepods') + 'kubepods'.length);
    if (at === -1) return null;
    uid = segment.slice(at + '-pod'.length, -'.slice'.length);
  } else {
    return null;
  }
  uid = uid.replaceAll('_', '-');
  return isUuid(uid) || (uid.length === 32 && isHexFrom(uid, 0, 32)) || isIdentifier(uid) ? uid : null;
}

/** Matches `PREFIX-ID` by its last dash; a conmon is the runtime's own process beside the container. */
function matchPrefixed(name: string, isPrefixFree: boolean): SegmentMatch | null {
  const dash = name.length - HEX_ID_CHARS - 1;
  if (dash < 1 || name[dash] !== '-' || !isHexFrom(name, dash + 1, name.length)) return null;
  const prefix = name.slice(0, dash);
  if (prefix === 'conmon' || prefix.endsWith('-conmon')) return null;
  const runtime = RUNTIME_OF_PREFIX.get(prefix);
  if (runtime === undefined && !isPrefixFree) return null;
  return { id: name.slice(dash + 1), runtime: runtime ?? 'unknown' };
}

function matchMachine(name: string): SegmentMatch | null {
  const machine = unescapeUnit(name);
  // libvirt registers its machines under the driver's name: a qemu machine isn't a container.
  if (/^qemu-[0-9]/.test(machine) || machine === '') return null;
  return { id: machine, runtime: /^lxc-[0-9]+-/.test(machine) ? 'lxc' : 'systemd-nspawn' };
}

function matchScope(name: string, context: SegmentContext): SegmentMatch | null {
  const prefixed = matchPrefixed(name, true);
  if (prefixed !== null) return prefixed;
  if (isHexId(name)) return { id: name, runtime: 'unknown' };
  if (context.isUnderNomad && name[UUID_CHARS] === '.' && name.length > UUID_CHARS + 1) {
    return isUuid(name.slice(0, UUID_CHARS)) ? { id: unescapeUnit(name), runtime: 'nomad' } : null;
  }
  if (!context.parent.endsWith('.slice')) return null;
  if (name.startsWith('machine-')) return matchMachine(name.slice('machine-'.length));
  const prefix = OCI_SCOPE_PREFIXES.find((candidate) => name.startsWith(candidate));
  if (prefix === undefined) return null;
  const id = unescapeUnit(name.slice(prefix.length));
  return isIdentifier(id) ? { id, runtime: 'unknown' } : null;
}

/** `SLICE:PREFIX:ID`, what runc's cgroupfs driver makes of a path written for its systemd driver. */
function matchColons(segment: string): SegmentMatch | null {
  const last = segment.lastIndexOf(':');
  const first = segment.lastIndexOf(':', last - 1);
  if (last <= 0 || first === -1) return null;
  const slice = segment.slice(0, first);
  const runtime = RUNTIME_OF_PREFIX.get(segment.slice(first + 1, last));
  const id = segment.slice(last + 1);
  if (isHexId(id)) return { id, runtime: runtime ?? 'unknown' };
  const isKnown = runtime !== undefined && slice.endsWith('.slice') && isIdentifier(id);
  return isKnown && !isUnitName(id) ? { id, runtime } : null;
}

function matchLxc(segment: string, parent: string): SegmentMatch | null {
  const payload = 'lxc.payload.';
  if (segment.startsWith(payload) && segment.length > payload.length) {
    return { id: segment.slice(payload.length), runtime: 'lxc' };
  }
  const isChild = parent === 'lxc' || parent === 'lxc.payload';
  return isChild && !segment.startsWith('lxc.') && !isUnitName(segment)
    ? { id: segment, runtime: 'lxc' }
    : null;
}

/** Matches groups that are named by an id alone, by what stands before it. */
function matchPlain(segment: string, context: SegmentContext): SegmentMatch | null {
  const { parent, grandparent } = context;
  if (isHexId(segment)) {
    // Podman keeps its own pods there; the containers below have names of their own.
    if (parent === 'libpod_parent') return null;
    return { id: segment, runtime: parent === 'docker' ? 'docker' : 'unknown' };
  }
  // BuildKit's ids are 25 characters of base 36.
  if (parent === 'buildkit' && /^[0-9a-z]{25}$/.test(segment)) {
    return { id: segment, runtime: grandparent === 'docker' ? 'docker' : 'unknown' };
  }
  // Fargate: the task's id, a dash, a number.
  if (
    grandparent === 'ecs' &&
    segment.startsWith(`${parent}-`) &&
    /^[0-9a-f]{32}-[0-9]{1,20}$/.test(segment)
  ) {
    return { id: segment, runtime: 'unknown' };
  }
  if (UUID_PARENTS.has(parent) && isUuid(segment)) return { id: segment, runtime: 'unknown' };
  if (context.isUnderNomad && segment[UUID_CHARS] === '.' && isUuid(segment.slice(0, UUID_CHARS))) {
    return segment.length > UUID_CHARS + 1 ? { id: segment, runtime: 'nomad' } : null;
  }
  return matchPrefixed(segment, context.isUnderPod);
}

/** Returns the container that a segment makes where it stands, or null when it makes none. */
export function matchSegment(segment: string, context: SegmentContext): SegmentMatch | null {
  if (segment.includes(':')) {
    const match = matchColons(segment);
    if (match !== null) return match;
  }
  const lxc = matchLxc(segment, context.parent);
  if (lxc !== null) return lxc;
  if (segment.endsWith('.scope')) return matchScope(segment.slice(0, -'.scope'.length), context);
  const nspawn = 'systemd-nspawn@';
  if (segment.startsWith(nspawn) && segment.endsWith('.service')) {
    return matchMachine(segment.slice(nspawn.length, -'.service'.length));
  }
  return isUnitName(segment) ? null : matchPlain(segment, context);
}
