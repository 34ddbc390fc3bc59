// containerd, asked over its own gRPC API. Ids count within a namespace; the control group's path often names it,
// else all are asked.
import { isHexId, isIdentifier } from '../cgroup-segment.ts';
import { isGroupOfContainer } from './container-group.ts';
import { fieldsOf, nameOf, type Fields } from './fields.ts';
import { Follower, FOLLOW_TIMES, type EventStream, type FollowTimes } from './follower.ts';
import { containerdMetadata, DOCKER_NAMESPACE, sandboxIdOf } from './grpc/containerd-metadata.ts';
import { GRPC_NOT_FOUND, GrpcCallError, GrpcConnection } from './grpc/grpc-connection.ts';
import type {
  ContainerMetadata,
  ContainerQuestion,
  RuntimeListener,
  RuntimeSource,
} from './runtime-source.ts';
import { mayTellOf } from './socket-owner.ts';

export const CONTAINERD_SOCKET = '/run/containerd/containerd.sock';

const PROTO_FILES = [
  'containerd-containers.proto',
  'containerd-namespaces.proto',
  'containerd-version.proto',
  'containerd-events.proto',
  'containerd-event-messages.proto',
  'containerd-runc-options.proto',
];

const GET = 'containerd.services.containers.v1.Containers/Get';
const LIST_NAMESPACES = 'containerd.services.namespaces.v1.Namespaces/List';
const VERSION = 'containerd.services.version.v1.Version/Version';
const SUBSCRIBE = 'containerd.services.events.v1.Events/Subscribe';

/** Reason: containerd's own limit for the names of namespaces. */
const NAMESPACE_CHARS_MAX = 76;

/** Namespaces asked for one container. Reason: hosts have one to five; over it, `find` rejects and says so. */
const NAMESPACES_MAX = 64;

/** Events that name a container, by topic, with the field that holds its id. Docker's are docker's to tell. */
const EVENTS: ReadonlyMap<string, { readonly type: string; readonly idField: string }> = new Map([
  ['/containers/create', { type: 'containerd.events.ContainerCreate', idField: 'id' }],
  ['/containers/update', { type: 'containerd.events.ContainerUpdate', idField: 'id' }],
  ['/tasks/create', { type: 'containerd.events.TaskCreate', idField: 'container_id' }],
]);
const EVENT_FILTERS = [...EVENTS.keys()].map((topic) => `topic=="${topic}",namespace!=${DOCKER_NAMESPACE}`);

export class ContainerdSource implements RuntimeSource {
  readonly name = 'containerd';
  readonly address: string;
  readonly #connection: GrpcConnection;
  readonly #follower: Follower;
  #version: string | undefined;

  constructor(socketPath: string = CONTAINERD_SOCKET, times: FollowTimes = FOLLOW_TIMES) {
    this.address = socketPath;
    this.#connection = new GrpcConnection(socketPath, PROTO_FILES);
    this.#follower = new Follower(
      {
        ping: (signal) => this.#askVersion(signal),
        listen: (stream) => this.#listen(stream),
        lookUp: (key, signal) => this.#lookUp(key, signal),
      },
      times,
    );
  }

  async find(question: ContainerQuestion, signal: AbortSignal): Promise<ContainerMetadata | null> {
    const { id } = question;
    if (!isIdentifier(id) || !(await mayTellOf(question.cgroupPath, this.address))) return null;
    if (this.#version === undefined) await this.#askVersion(signal);
    const likely = likelyNamespace(question);
    const container = likely === null ? null : await this.#get(likely, id, signal);
    if (likely !== null && container !== null) return this.#describe(likely, container, signal);
    return this.#findElsewhere(question, likely, signal);
  }

  follow(listener: RuntimeListener): void {
    this.#follower.start(listener);
  }

  close(): void {
    this.#follower.close();
    this.#connection.close();
  }

  async #lookUp(key: string, signal: AbortSignal): Promise<ContainerMetadata | null> {
    const [namespace, id] = key.split('/');
    const container = await this.#get(namespace, id, signal);
    return container === null ? null : this.#describe(namespace, container, signal);
  }

  /**
   * Null where no namespace has a container of the id and in the group, and where several have: which of them is meant
   * isn't known.
   */
  async #findElsewhere(
    question: ContainerQuestion,
    asked: string | null,
    signal: AbortSignal,
  ): Promise<ContainerMetadata | null> {
    const { namespaces } = await this.#connection.call(LIST_NAMESPACES, {}, signal);
    const names = (Array.isArray(namespaces) ? namespaces : [])
      .map((namespace) => nameOf(fieldsOf(namespace).name))
      .filter((name) => name !== undefined && name !== asked && isNamespace(name)) as string[];
    const found = await Promise.all(
      names.slice(0, NAMESPACES_MAX).map(async (namespace) => {
        const container = await this.#get(namespace, question.id, signal);
        return container === null ? null : this.#describe(namespace, container, signal);
      }),
    );
    const known = found.filter((metadata) => metadata !== null && isMeant(metadata, question, asked));
    if (known.length === 1) return known[0];
    if (known.length === 0 && names.length > NAMESPACES_MAX) {
      throw new Error(
        `looking for ${question.id} in containerd at ${this.address}: asked ${NAMESPACES_MAX} of its ${names.length} namespaces`,
      );
    }
    return null;
  }

  async #get(namespace: string, id: string, signal: AbortSignal): Promise<Fields | null> {
    try {
      const headers = { 'containerd-namespace': namespace };
      const container = fieldsOf((await this.#connection.call(GET, { id }, signal, headers)).container);
      return container.id === id ? container : null;
    } catch (error) {
      if (error instanceof GrpcCallError && error.code === GRPC_NOT_FOUND) return null;
      throw error;
    }
  }

  async #describe(
    namespace: string,
    container: Fields,
    signal: AbortSignal,
  ): Promise<ContainerMetadata | null> {
    const options = fieldsOf(fieldsOf(container.runtime).options);
    const hasOptions = options.type_url === 'containerd.runc.v1.Options';
    const runcOptions = hasOptions
      ? await this.#connection.decode('containerd.runc.v1.Options', options.value)
      : {};
    const sandboxId = sandboxIdOf(container);
    const sandbox = sandboxId === undefined ? null : await this.#get(namespace, sandboxId, signal);
    return containerdMetadata({
      namespace,
      container,
      runcOptions,
      sandbox: sandbox ?? {},
      version: this.#version,
    });
  }

  /** Asked with each ping, too: a restart may have brought another version. */
  async #askVersion(signal: AbortSignal): Promise<void> {
    this.#version = nameOf((await this.#connection.call(VERSION, {}, signal)).version);
  }

  async #listen(stream: EventStream): Promise<void> {
    await this.#connection.stream(SUBSCRIBE, { filters: EVENT_FILTERS }, stream.signal, (envelope) => {
      const event = EVENTS.get(String(envelope.topic));
      const { namespace } = envelope;
      if (event === undefined || typeof namespace !== 'string' || !isNamespace(namespace)) return;
      void this.#connection.decode(event.type, fieldsOf(envelope.event).value).then((fields) => {
        const id = fields[event.idField];
        if (typeof id === 'string' && isIdentifier(id)) stream.named(`${namespace}/${id}`);
      });
    });
  }
}

/** A free id may be given in each namespace: the group tells which is meant. `likely`: the namespace that the group speaks for. */
function isMeant(
  { id, groupPath }: ContainerMetadata,
  question: ContainerQuestion,
  likely: string | null,
): boolean {
  if (isHexId(id)) return true;
  return groupPath === undefined ? likely === null : isGroupOfContainer(groupPath, question);
}

function isNamespace(text: string): boolean {
  return text.length <= NAMESPACE_CHARS_MAX && isIdentifier(text);
}

/** Returns the namespace that a control group's path speaks for; null where it speaks for none. */
function likelyNamespace({ id, cgroupPath }: ContainerQuestion): string | null {
  const segments = cgroupPath.split('/');
  // A group below the container's may carry the id, too.
  const exact = segments.lastIndexOf(id);
  const index = exact === -1 ? segments.findLastIndex((segment) => segment.includes(id)) : exact;
  if (index === -1) return null;
  const segment = segments[index];
  if (segment.includes('cri-containerd') || /^\/?kubepods/.test(cgroupPath)) return 'k8s.io';
  const parent = segments[index - 1] ?? '';
  if (segment === `docker-${id}.scope` || parent === 'docker') return DOCKER_NAMESPACE;
  return segment === id && isNamespace(parent) ? parent : null;
}
