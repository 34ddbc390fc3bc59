// Docker or podman, asked over a unix socket: one look-up for a container, and its events. A user's own engine
// (rootless) is believed only for what runs in that user's control groups, and root's for none of these: whoever owns the
// socket chooses the answers, and whoever makes a group chooses its name.
import { isHexId } from '../cgroup-segment.ts';
import { EngineError } from './engine/engine-error.ts';
import { dockerOfVersion, eventsPathOf, podmanOfPing, type Engine } from './engine/engine-version.ts';
import { UnixHttp } from './engine/unix-http.ts';
import { fieldsOf, nameOf, recordOfText } from './fields.ts';
import { Follower, FOLLOW_TIMES, type EventStream, type FollowTimes } from './follower.ts';
import type {
  ContainerMetadata,
  ContainerQuestion,
  RuntimeListener,
  RuntimeSource,
} from './runtime-source.ts';
import { mayTellOf } from './socket-owner.ts';
import type { EngineSocket } from './socket-paths.ts';
import { untilAborted } from './until-aborted.ts';
import { userOfGroup } from './user-slice.ts';

/** Reason: as for a look-up; several look-ups may wait for it, and each has its own deadline. */
const INTRODUCE_TIMEOUT_MS = 5_000;

/** Containers of a rootless engine whose events are passed on. Reason: as many as are traced at once; the oldest is forgotten. */
const OWN_IDS_MAX = 4096;

/** Makes the source of an engine's socket; docker or podman is found out by asking. */
export class EngineSource implements RuntimeSource {
  readonly name: string;
  readonly address: string;
  readonly #ownerUid: number | null;
  readonly #http: UnixHttp;
  readonly #follower: Follower;
  readonly #ownIds = new Set<string>();
  #engine: Promise<Engine> | null = null;

  constructor({ engine, path, ownerUid }: EngineSocket, times: FollowTimes = FOLLOW_TIMES) {
    this.name = engine;
    this.address = path;
    this.#ownerUid = ownerUid;
    this.#http = new UnixHttp(path, ownerUid ?? 0);
    this.#follower = new Follower(
      {
        ping: (signal) => this.#http.ping(signal),
        listen: (stream) => this.#listen(stream),
        lookUp: (id, signal) => this.#inspect(id, signal),
      },
      times,
    );
  }

  async find({ id, cgroupPath }: ContainerQuestion, signal: AbortSignal): Promise<ContainerMetadata | null> {
    signal.throwIfAborted();
    // Engines take names and short ids too: only a whole id can't mean another container.
    if (!isHexId(id)) return null;
    if (!(await this.#mayTellOf(cgroupPath))) return null;
    const metadata = await this.#inspect(id, signal);
    if (metadata !== null && this.#ownerUid !== null) this.#keepOwn(id);
    return metadata;
  }

  async #mayTellOf(cgroupPath: string): Promise<boolean> {
    const user = userOfGroup(cgroupPath);
    if (this.#ownerUid !== null) return user === this.#ownerUid;
    if (!(await mayTellOf(cgroupPath, this.address))) return false;
    // The configuration names a user's socket: its owner is known once one of the user's groups is asked about.
    if (user !== null) this.#http.belongsTo(user);
    return true;
  }

  follow(listener: RuntimeListener): void {
    this.#follower.start(listener);
  }

  close(): void {
    this.#follower.close();
    this.#http.close();
  }

  async #inspect(id: string, signal: AbortSignal): Promise<ContainerMetadata | null> {
    const { dialect, apiVersion, runtimeVersion } = await this.#askEngine(signal);
    try {
      const answer = await this.#http.getJson(dialect.inspectPath(apiVersion, id), signal);
      if (answer === null) return null;
      if (typeof answer.Id !== 'string') {
        throw new EngineError('garbage', `${this.address}: the answer about container ${id} has no Id`);
      }
      // A container may be *named* like the id of another one.
      if (answer.Id !== id) return null;
      const metadata = { id, runtimeName: dialect.runtimeName, ...dialect.read(answer) };
      return runtimeVersion === undefined ? metadata : { ...metadata, runtimeVersion };
    } catch (error) {
      // Another engine may have taken its place, or a newer version.
      if (error instanceof EngineError) this.#engine = null;
      throw error;
    }
  }

  /** Asks who answers, once for all that wait for it; asked again after a failure. */
  async #askEngine(signal: AbortSignal): Promise<Engine> {
    if (this.#engine === null) {
      const asked = this.#introduce();
      this.#engine = asked;
      asked.catch(() => {
        if (this.#engine === asked) this.#engine = null;
      });
    }
    return untilAborted(this.#engine, signal);
  }

  async #introduce(): Promise<Engine> {
    const signal = AbortSignal.timeout(INTRODUCE_TIMEOUT_MS);
    const podman = podmanOfPing(await this.#http.ping(signal));
    if (podman !== null) return podman;
    const docker = dockerOfVersion(await this.#http.getJson('/version', signal));
    if (docker !== null) return docker;
    throw new EngineError('garbage', `${this.address}: what answers is no container engine`);
  }

  async #listen(stream: EventStream): Promise<void> {
    // Another engine may have taken the place of the one that was asked before.
    this.#engine = null;
    const engine = await this.#askEngine(stream.signal);
    await this.#http.eachLine(
      eventsPathOf(engine, stream.sinceUnixMs),
      stream.signal,
      (line) => this.#takeEvent(line, engine, stream),
      {
        onOpen: () => stream.opened(),
        onSkipped: () => stream.skipped(`${this.address}: an event is longer than is read`),
      },
    );
  }

  #takeEvent(line: string, { dialect }: Engine, stream: EventStream): void {
    if (line.trim() === '') return;
    const event = parseEvent(line);
    if (event === null) stream.skipped(`${this.address}: an event can't be read`);
    else if (dialect.events.includes(event.action) && this.#isOwn(event.id)) stream.named(event.id);
  }

  #isOwn(id: string): boolean {
    return this.#ownerUid === null || this.#ownIds.has(id);
  }

  #keepOwn(id: string): void {
    this.#ownIds.delete(id);
    this.#ownIds.add(id);
    if (this.#ownIds.size <= OWN_IDS_MAX) return;
    const [oldest] = this.#ownIds;
    this.#ownIds.delete(oldest);
  }
}

interface EngineEvent {
  readonly action: string;
  readonly id: string;
}

/** Reads one line of the events; null when it is none of a container. */
function parseEvent(line: string): EngineEvent | null {
  const event = recordOfText(line);
  const action = nameOf(event?.Action);
  const id = fieldsOf(event?.Actor).ID;
  return action !== undefined && typeof id === 'string' && isHexId(id) ? { action, id } : null;
}
