// Any runtime that Kubernetes can use (containerd, CRI-O, cri-dockerd), asked by the container runtime interface.
import { once } from 'node:events';
import { isIdentifier } from '../cgroup-segment.ts';
import { fieldsOf, nameOf, type Fields } from './fields.ts';
import { Follower, FOLLOW_TIMES, type EventStream, type FollowTimes } from './follower.ts';
import { criContainer, criSandbox, infoOf, sandboxIdOfInfo, type CriRuntime } from './grpc/cri-metadata.ts';
import {
  GRPC_NOT_FOUND,
  GRPC_UNIMPLEMENTED,
  GRPC_UNKNOWN,
  GrpcCallError,
  GrpcConnection,
} from './grpc/grpc-connection.ts';
import { DOCKER_SANDBOX_NAME } from './pod.ts';
import type {
  ContainerMetadata,
  ContainerQuestion,
  RuntimeListener,
  RuntimeSource,
} from './runtime-source.ts';
import { mayTellOf } from './socket-owner.ts';

/** Where Kubernetes' runtimes listen. */
export const CRI_SOCKETS = [
  '/run/containerd/containerd.sock',
  '/run/k3s/containerd/containerd.sock',
  '/run/crio/crio.sock',
  '/run/cri-dockerd.sock',
] as const;

const SERVICE = 'runtime.v1.RuntimeService';

/** Events after which a container is looked up. */
const NEWS: ReadonlySet<unknown> = new Set(['CONTAINER_CREATED_EVENT', 'CONTAINER_STARTED_EVENT']);

export class CriSource implements RuntimeSource {
  readonly name = 'cri';
  readonly address: string;
  readonly #connection: GrpcConnection;
  readonly #follower: Follower;
  #runtime: CriRuntime | null = null;

  constructor(socketPath: string, times: FollowTimes = FOLLOW_TIMES) {
    this.address = socketPath;
    this.#connection = new GrpcConnection(socketPath, ['cri.proto']);
    this.#follower = new Follower(
      {
        ping: (signal) => this.#askRuntime(signal),
        listen: (stream) => this.#listen(stream),
        lookUp: (id, signal) => this.#lookUp(id, signal),
      },
      times,
    );
  }

  async find({ id, cgroupPath }: ContainerQuestion, signal: AbortSignal): Promise<ContainerMetadata | null> {
    if (!isIdentifier(id) || !(await mayTellOf(cgroupPath, this.address))) return null;
    try {
      return await this.#lookUp(id, signal);
    } catch (error) {
      // A containerd whose CRI is switched off has no pods.
      if (error instanceof GrpcCallError && error.code === GRPC_UNIMPLEMENTED) return null;
      throw error;
    }
  }

  follow(listener: RuntimeListener): void {
    this.#follower.start(listener);
  }

  close(): void {
    this.#follower.close();
    this.#connection.close();
  }

  async #lookUp(id: string, signal: AbortSignal): Promise<ContainerMetadata | null> {
    const runtime = this.#runtime ?? (await this.#askRuntime(signal));
    // Verbose: else neither the sandbox nor the environment is told.
    const answer = await this.#ask('ContainerStatus', { container_id: id, verbose: true }, signal);
    const status = fieldsOf(answer?.status);
    // Runtimes take a prefix for the whole id.
    const isContainer = answer !== null && status.id === id;
    // cri-dockerd gives a sandbox's status for a container's.
    if (!isContainer || fieldsOf(status.metadata).name === DOCKER_SANDBOX_NAME) {
      const sandbox = await this.#sandbox(id, signal);
      return sandbox === null ? null : criSandbox(sandbox, runtime);
    }
    const info = infoOf(answer);
    const sandboxId = sandboxIdOfInfo(info) ?? (await this.#listedSandboxId(id, signal));
    const sandbox = sandboxId === undefined ? null : await this.#sandbox(sandboxId, signal);
    return criContainer(status, info, sandbox ?? {}, runtime);
  }

  async #sandbox(id: string, signal: AbortSignal): Promise<Fields | null> {
    const answer = await this.#ask('PodSandboxStatus', { pod_sandbox_id: id }, signal);
    const status = fieldsOf(answer?.status);
    return status.id === id ? status : null;
  }

  async #listedSandboxId(id: string, signal: AbortSignal): Promise<string | undefined> {
    const answer = await this.#ask('ListContainers', { filter: { id } }, signal);
    const containers: unknown = answer?.containers;
    const list: readonly unknown[] = Array.isArray(containers) ? containers : [];
    const own = list.find((one) => fieldsOf(one).id === id);
    return nameOf(fieldsOf(own).pod_sandbox_id);
  }

  /** Null where the runtime knows no such id. */
  async #ask(method: string, request: Fields, signal: AbortSignal): Promise<Fields | null> {
    try {
      return await this.#connection.call(`${SERVICE}/${method}`, request, signal);
    } catch (error) {
      if (error instanceof GrpcCallError && isUnknownId(error)) return null;
      throw error;
    }
  }

  /** Asked with each ping, too: a restart may have brought another version. */
  async #askRuntime(signal: AbortSignal): Promise<CriRuntime> {
    const answer = await this.#connection.call(`${SERVICE}/Version`, {}, signal);
    const name = nameOf(answer.runtime_name);
    if (name === undefined)
      throw new Error(`asking ${this.address} for its version: the answer names no runtime`);
    this.#runtime = { name, version: nameOf(answer.runtime_version) };
    return this.#runtime;
  }

  async #listen({ signal, named }: EventStream): Promise<void> {
    try {
      await this.#connection.stream(`${SERVICE}/GetContainerEvents`, {}, signal, (event) => {
        const id = event.container_id;
        if (NEWS.has(event.container_event_type) && typeof id === 'string' && isIdentifier(id)) named(id);
      });
    } catch (error) {
      const hasNoEvents = error instanceof GrpcCallError && error.code === GRPC_UNIMPLEMENTED;
      if (!hasNoEvents) throw error;
      // Runtimes of before 2023: containers are then known by asking only.
      if (!signal.aborted) await once(signal, 'abort');
    }
  }
}

/**
 * cri-dockerd gives every error the status for anything: docker's own message where there is no such container, and
 * its own where the container was made without it.
 */
const NOT_A_PODS =
  /no such container|not managed by kubernetes|failed to parse the (?:container|sandbox) name/i;

function isUnknownId(error: GrpcCallError): boolean {
  return error.code === GRPC_NOT_FOUND || (error.code === GRPC_UNKNOWN && NOT_A_PODS.test(error.message));
}
