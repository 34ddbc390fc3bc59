// Fields of a runtime's JSON answer. Nothing in it has to have the type that its documentation says.
import { NAME_BYTES_MAX, type PodMetadata } from './runtime-source.ts';

export type Answer = Readonly<Record<string, unknown>>;

/** Returns the value as an object whose fields can be asked for; an empty one when it is none. */
export function objectOf(value: unknown): Answer {
  return typeof value === 'object' && value !== null ? (value as Answer) : {};
}

/** Returns a text that can be sent, or undefined: when it is none, empty or longer than {@link NAME_BYTES_MAX}. */
export function nameOf(value: unknown): string | undefined {
  if (typeof value !== 'string' || value === '' || value.length > NAME_BYTES_MAX) return undefined;
  return Buffer.byteLength(value) > NAME_BYTES_MAX ? undefined : value.toWellFormed();
}

type Known<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Leaves out the properties that are undefined. */
export function known<T extends object>(properties: T): Known<T> {
  return Object.fromEntries(
    Object.entries(properties).filter(([, value]) => value !== undefined),
  ) as Known<T>;
}

/** Returns the value of OTEL_SERVICE_NAME in a list of `NAME=value`; the last one counts, an empty one is none. */
export function serviceNameOf(environment: unknown): string | undefined {
  if (!Array.isArray(environment)) return undefined;
  const prefix = 'OTEL_SERVICE_NAME=';
  const entry: unknown = environment.findLast((each) => typeof each === 'string' && each.startsWith(prefix));
  return typeof entry === 'string' ? nameOf(entry.slice(prefix.length)) : undefined;
}

/** A pod's own sandbox carries this in place of a container's name. */
const SANDBOX_NAME = 'POD';

/**
 * Returns the pod that the kubelet's labels (or annotations) `io.kubernetes.…` name, or undefined unless they give name,
 * namespace and uid.
 */
export function podOfLabels(labels: unknown): PodMetadata | undefined {
  const label = objectOf(labels);
  const name = nameOf(label['io.kubernetes.pod.name']);
  const namespace = nameOf(label['io.kubernetes.pod.namespace']);
  const uid = nameOf(label['io.kubernetes.pod.uid']);
  if (name === undefined || namespace === undefined || uid === undefined) return undefined;
  const containerName = nameOf(label['io.kubernetes.container.name']);
  // dockershim kept annotations as labels with a prefix.
  const restarts =
    label['io.kubernetes.container.restartCount'] ?? label['annotation.io.kubernetes.container.restartCount'];
  const isCount = typeof restarts === 'string' && /^[0-9]{1,9}$/.test(restarts);
  const isSandbox = containerName === SANDBOX_NAME || label['io.kubernetes.docker.type'] === 'podsandbox';
  return {
    name,
    namespace,
    uid,
    ...(isSandbox ? {} : known({ containerName, restartCount: isCount ? Number(restarts) : undefined })),
  };
}
