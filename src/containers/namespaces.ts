// Where namespaces are the scopes: finds the container of each namespace that the kernel meets, from the control
// groups of the process that was met in it, and notices when no task is left in one. On the main thread.
import type { CgroupHierarchy } from './cgroup-mounts.ts';
import type { ContainerPath } from './cgroup-path.ts';
import type { GroupProofs } from './container-of-group.ts';
import type { FoundScope } from './found-scope.ts';
import { GroupPaths } from './group-paths.ts';
import { groupIdOf, groupOfText, readGroups, type ProcessGroup } from './process-group.ts';
import { namespaceOfScope, SCOPE_MNTNS, kindOfScope } from './scope.ts';
import type { NamespaceMet } from './scope-records.ts';
import * as layout from '../model/record-layout.ts';

export interface NamespacesListener {
  /** Whose the namespace is; without `container` it is no container's. Told once for each namespace. */
  found(found: FoundScope): void;
  /** The kernel must tell the next process that opens a file there. */
  meetAgain(scope: bigint): void;
  /** No task has been in it for two looks. */
  gone(scope: bigint): void;
  /** Lists the scopes of the namespaces that any task is in. */
  listAll(): Promise<ReadonlySet<bigint>>;
  lookFailed(error: unknown): void;
}

/** Inodes. */
export interface HostNamespaces {
  readonly mnt: number;
  readonly pid: number;
}

export interface NamespacesOptions {
  /** Where the ids of groups are looked up. */
  readonly hierarchies: readonly CgroupHierarchy[];
  readonly cgroup1Controller: string | null;
  readonly hostNamespaces: HostNamespaces;
  readonly proofs: GroupProofs;
  readonly listener: NamespacesListener;
  readonly procFolder?: string;
}

/**
 * Reason: the first process may be gone already, or a host's that only visits (nsenter). A namespace of which so many
 * processes tell no container is none's; it then goes by its own number.
 */
const MEETINGS_MAX = 3;
/** Reason: records wait meanwhile, and a process that opens nothing more is never met again. */
const DECIDE_AFTER_MS = 200;
/** Reason: no hook tells of a namespace's end, and a look visits every task of the host. */
const LOOK_EVERY_MS = 30_000;
/** Reason: the policy map takes some 40,000 scopes, and anyone may make namespaces: from here on each tick looks. */
const MANY = 8192;
/** Reason: a task that moves during a look can be missed by it. */
const ABSENCES_MAX = 2;

interface Namespace {
  readonly scope: bigint;
  meetings: number;
  absences: number;
  /** Of the last process that was met; 0 = not known. */
  namespaces: Uint32Array | null;
  group: ProcessGroup | null;
  timer: NodeJS.Timeout | null;
  /** null until it is decided whose it is. */
  decision: Promise<void> | null;
}

/** Bounded by the kernel's policy map: a namespace is known here only while it is there. */
export class Namespaces {
  /** Filled by the caller: they name a container without a look at /proc, also when its process is gone. */
  readonly groups = new GroupPaths();
  readonly #options: NamespacesOptions;
  readonly #known = new Map<bigint, Namespace>();
  readonly #reading = new Set<Promise<void>>();
  #look: Promise<void> | null = null;
  #lookedMs = 0;
  #isSettled = false;

  constructor(options: NamespacesOptions) {
    this.#options = options;
  }

  /** Takes the kernel's word of a process in a namespace that has no verdict. */
  met(record: NamespaceMet): void {
    const entry = this.#entry(record.scope);
    if (entry.decision !== null) return;
    entry.meetings++;
    entry.namespaces = record.namespaces;
    const reading = this.#ask(entry, record).finally(() => this.#reading.delete(reading));
    this.#reading.add(reading);
  }

  /** A pair came of a namespace whose record was lost: the next process there is asked for. */
  unknown(scope: bigint): void {
    const entry = this.#entry(scope);
    if (entry.decision !== null || entry.meetings > 0) return;
    if (this.#isSettled) void this.#decide(entry);
    else this.#options.listener.meetAgain(scope);
  }

  /** Looks for namespaces that ended, when it is time. `nowMs` is any clock that only grows. */
  tick(nowMs: number): void {
    this.groups.tick(nowMs);
    const everyMs = this.#known.size >= MANY ? 0 : LOOK_EVERY_MS;
    if (this.#look !== null || nowMs - this.#lookedMs < everyMs) return;
    this.#lookedMs = nowMs;
    this.#look = this.#lookAtAll()
      .catch((error: unknown) => this.#options.listener.lookFailed(error))
      .finally(() => (this.#look = null));
  }

  /** Ends: decides all that is open from what is known now. Nothing is asked for after it. */
  async settle(): Promise<void> {
    this.#isSettled = true;
    await this.#look;
    await Promise.all(this.#reading);
    for (const entry of this.#known.values()) await this.#decide(entry);
  }

  /** Forgets those in which no task was seen, twice in a row. */
  async #lookAtAll(): Promise<void> {
    const before = [...this.#known.keys()];
    const seen = await this.#options.listener.listAll();
    for (const scope of before) {
      const entry = this.#known.get(scope);
      if (entry === undefined) continue;
      entry.absences = seen.has(scope) ? 0 : entry.absences + 1;
      if (entry.absences < ABSENCES_MAX || entry.decision === null) continue;
      this.#known.delete(scope);
      this.#options.listener.gone(scope);
    }
  }

  #entry(scope: bigint): Namespace {
    let entry = this.#known.get(scope);
    if (entry !== undefined) return entry;
    entry = {
      scope,
      meetings: 0,
      absences: 0,
      namespaces: null,
      group: null,
      timer: null,
      decision: null,
    };
    this.#known.set(scope, entry);
    const undecided = entry;
    if (!this.#isSettled) {
      entry.timer = setTimeout(() => void this.#decide(undecided), DECIDE_AFTER_MS).unref();
    }
    return entry;
  }

  async #ask(entry: Namespace, record: NamespaceMet): Promise<void> {
    const { procFolder = '/proc', cgroup1Controller, proofs } = this.#options;
    let group = groupOfText(this.groups.textOf(record.groups, cgroup1Controller), proofs);
    if (group.container === null) {
      // Another hierarchy may name it: /proc knows all of them.
      const text = await readGroups(record.pid, record.processStartedBootNs, procFolder);
      if (text !== null) group = groupOfText(text, proofs);
      if (entry.decision !== null) return;
    }
    entry.group = group;
    if (group.container !== null || entry.meetings >= MEETINGS_MAX) await this.#decide(entry);
    else if (!this.#isSettled) this.#options.listener.meetAgain(entry.scope);
  }

  #decide(entry: Namespace): Promise<void> {
    entry.decision ??= this.#tell(entry);
    return entry.decision;
  }

  async #tell(entry: Namespace): Promise<void> {
    if (entry.timer !== null) clearTimeout(entry.timer);
    const { scope, group } = entry;
    const container = group?.container ?? this.#byNumber(entry);
    this.#options.listener.found({
      scope,
      path: group?.path ?? '',
      version: group?.version ?? 'v2',
      container,
      cgroupId: group === null ? null : await groupIdOf(group, this.#options.hierarchies),
    });
  }

  /**
   * A namespace that no control group names. Services of the host have mount namespaces of their own too, and browsers
   * pid namespaces: only what has both is taken for a container.
   */
  #byNumber({ scope, namespaces, group }: Namespace): ContainerPath | null {
    const { mnt, pid } = this.#options.hostNamespaces;
    const isContained =
      namespaces === null || (namespaces[layout.NS_MNT] !== mnt && namespaces[layout.NS_PID] !== pid);
    if (!isContained) return null;
    const type = kindOfScope(scope) === SCOPE_MNTNS ? 'mnt' : 'pid';
    return {
      containerId: `${type}:${namespaceOfScope(scope)}`,
      runtime: 'unknown',
      podUid: null,
      parentId: null,
      depth: 1,
      groupPath: group?.path ?? '',
      isOwnGroup: true,
      isGuess: false,
      instance: String(scope),
    };
  }
}
