// What a container runtime can tell of a container, whichever way it is asked: an API on a socket, or its
// own state files. One file of this folder for each runtime implements `RuntimeSource`.

/** A container as its runtime knows it. What isn't known is left out. */
export interface ContainerMetadata {
  /** The runtime's whole id. */
  readonly id: string;
  /** docker, podman, containerd, cri-o, runc, crun, lxc, systemd-nspawn. */
  readonly runtimeName: string;
  readonly runtimeVersion?: string;
  /** The OCI runtime below it, as its binary is called: runc, crun, runsc. */
  readonly ociRuntime?: string;
  readonly name?: string;
  /** Without tag and digest. */
  readonly imageName?: string;
  readonly imageTags?: readonly string[];
  /** Labels, and annotations where the runtime knows no labels; bounded by {@link boundLabels}. */
  readonly labels?: ReadonlyMap<string, string>;
  /** Value of OTEL_SERVICE_NAME in the container's environment; no other variable is read. */
  readonly serviceName?: string;
  readonly pod?: PodMetadata;
  /** The control group that the runtime was told to make (latin1), where ids are unique in a part of it only. */
  readonly groupPath?: string;
  /** The name of the source; set by who asked it. */
  readonly toldBy?: string;
}

/** The Kubernetes pod that a container belongs to. */
export interface PodMetadata {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  /** Of the container within its pod; left out for the pod's own sandbox. */
  readonly containerName?: string;
  readonly restartCount?: number;
  /** The kind in lower case, as in `k8s.<kind>.name`. */
  readonly workload?: { readonly kind: string; readonly name: string };
}

/** What is known of a container before its runtime was asked. */
export interface ContainerQuestion {
  readonly id: string;
  /** Path of its control group from the hierarchy's root (latin1). */
  readonly cgroupPath: string;
  /** Whether it is in another container. */
  readonly isNested?: boolean;
}

export interface RuntimeListener {
  /** A container was created, renamed or updated; may come again with the same content. */
  changed(metadata: ContainerMetadata): void;
  /** Told once for each change of state: the runtime answers again, or why it doesn't. */
  state(isAnswering: boolean, reason: string): void;
  /**
   * An event could not be used: what is known of its container may be old until it is looked up again. Whoever creates
   * containers can cause any number of them: to be counted, not logged one by one.
   */
  skipped?(reason: string): void;
}

/** One runtime, asked in one way. It must never throw from an event, and never hold the event loop. */
export interface RuntimeSource {
  /** For people and logs: `docker`, `podman state`. */
  readonly name: string;
  /** The socket or folder. */
  readonly address: string;
  /**
   * Looks a container up. Null when the runtime doesn't know it. Rejects when the runtime is not there,
   * answers garbage, or `signal` aborts (the caller's deadline).
   */
  find(question: ContainerQuestion, signal: AbortSignal): Promise<ContainerMetadata | null>;
  /**
   * Follows the runtime's events until `close`, reconnecting with jittered backoff. Sources without events
   * (state files) leave it out.
   */
  follow?(listener: RuntimeListener): void;
  /** Ends connections, timers and watches; `find` calls in flight reject. */
  close(): void;
}

/** Reason: an answer about one container has some 10 KiB; ten thousand labels have 1 MiB. */
export const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
/** Reason: kept for each container, and 4,096 of them must fit; the rest is left out. */
export const LABEL_BYTES_MAX = 16 * 1024;
/** Longest value taken for a name; hostile runtimes and containers choose them. */
export const NAME_BYTES_MAX = 1024;

/** Reason: whoever makes a container can give it any number of labels. Those beyond are counted without their keys. */
const DROPPED_KEY_BYTES_MAX = 4 * 1024;

/** Labels that were left out for their bytes. */
export interface DroppedLabels {
  readonly keys: readonly string[];
  /** How many more there were. */
  readonly more: number;
}

const NONE_DROPPED: DroppedLabels = { keys: [], more: 0 };
/** Beside the labels: few have any, and who reads labels needn't know. */
const droppedOf = new WeakMap<ReadonlyMap<string, string>, DroppedLabels>();

/** Returns what {@link boundLabels} left out of these labels. */
export function droppedLabels(labels: ReadonlyMap<string, string> | undefined): DroppedLabels {
  return (labels === undefined ? undefined : droppedOf.get(labels)) ?? NONE_DROPPED;
}

/**
 * Keeps labels in the order given until {@link LABEL_BYTES_MAX} bytes of keys and values are used. Anything that is
 * no object, and values that are no text, are left out. Halves of surrogate pairs, which JSON can spell and UTF-8
 * can't, become U+FFFD. `before` was left out already.
 */
export function boundLabels(
  labels: unknown,
  before: DroppedLabels = NONE_DROPPED,
): ReadonlyMap<string, string> {
  const kept = new Map<string, string>();
  if (typeof labels !== 'object' || labels === null || Array.isArray(labels)) return kept;
  const dropped = { keys: [...before.keys], more: before.more };
  let bytes = 0;
  let keyBytes = before.keys.reduce((sum, key) => sum + Buffer.byteLength(key), 0);
  for (const [key, value] of Object.entries(labels)) {
    if (typeof value !== 'string') continue;
    // Once one is too much, so is the rest: else what is kept would depend on what is short.
    if (bytes <= LABEL_BYTES_MAX) bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
    if (bytes <= LABEL_BYTES_MAX) {
      kept.set(key.toWellFormed(), value.toWellFormed());
      continue;
    }
    keyBytes += Buffer.byteLength(key);
    if (keyBytes <= DROPPED_KEY_BYTES_MAX) dropped.keys.push(key.toWellFormed());
    else dropped.more += 1;
  }
  if (dropped.keys.length + dropped.more > 0) droppedOf.set(kept, dropped);
  return kept;
}
