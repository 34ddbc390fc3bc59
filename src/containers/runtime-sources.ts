// Which runtimes are asked: sockets and state folders that are found, or those that the configuration names.
import { stat } from 'node:fs/promises';
import { ContainerdSource, CONTAINERD_SOCKET } from './runtimes/containerd.ts';
import { containerdState } from './runtimes/containerd-state.ts';
import { CRI_SOCKETS, CriSource } from './runtimes/cri.ts';
import { crunState } from './runtimes/crun-state.ts';
import { dockerState } from './runtimes/docker-state.ts';
import { EngineSource } from './runtimes/engine-source.ts';
import { lxcState } from './runtimes/lxc-state.ts';
import { nspawnState } from './runtimes/nspawn-state.ts';
import { podmanState } from './runtimes/podman-state.ts';
import { runcState } from './runtimes/runc-state.ts';
import type { RuntimeSource } from './runtimes/runtime-source.ts';
import { findSockets, type EngineSocket } from './runtimes/socket-paths.ts';

/** Runtimes with an API on a socket, under the names of the configuration. */
export const SOCKET_RUNTIMES = ['docker', 'podman', 'containerd', 'cri'] as const;
export type SocketRuntime = (typeof SOCKET_RUNTIMES)[number];

/** How one runtime's sockets are found: `auto` looks in the usual places; an empty list asks none. */
export type SocketSetting = 'auto' | readonly string[];

export interface RuntimeSettings extends Readonly<Record<SocketRuntime, SocketSetting>> {
  /** Whether state files are read too. */
  readonly state: boolean;
}

/** One way to ask a runtime: made only when its socket is new. */
export interface SourcePlace {
  /** Tells places apart: runtime and address. */
  readonly key: string;
  readonly make: () => RuntimeSource;
  /** A user's own runtime, found by its socket. */
  readonly isUsers?: boolean;
}

export interface FoundPlaces {
  readonly places: readonly SourcePlace[];
  /** Users whose folder wasn't looked at, as there are too many. */
  readonly usersLeftOut: number;
}

const K3S_SOCKET = '/run/k3s/containerd/containerd.sock';

/** Finds the sockets to ask now. Those that the configuration names count even where nothing listens yet. */
export async function findPlaces(settings: RuntimeSettings): Promise<FoundPlaces> {
  const { sockets, usersLeftOut } = await findSockets();
  const places = [
    ...enginePlaces(settings, sockets),
    ...(await socketPlaces('cri', settings.cri, CRI_SOCKETS, (path) => new CriSource(path))),
    ...(await socketPlaces(
      'containerd',
      settings.containerd,
      [CONTAINERD_SOCKET, K3S_SOCKET],
      (path) => new ContainerdSource(path),
    )),
  ];
  return { places, usersLeftOut };
}

/** Makes the sources that read state files; they need no socket. */
export function stateSources(settings: RuntimeSettings): RuntimeSource[] {
  if (!settings.state) return [];
  return [
    podmanState(),
    dockerState(),
    containerdState(),
    lxcState(),
    nspawnState(),
    runcState(),
    crunState(),
  ];
}

function enginePlaces(settings: RuntimeSettings, sockets: readonly EngineSocket[]): SourcePlace[] {
  const places: SourcePlace[] = [];
  for (const engine of ['docker', 'podman'] as const) {
    const setting = settings[engine];
    const wanted =
      setting === 'auto'
        ? sockets.filter((socket) => socket.engine === engine)
        : setting.map((path) => ({ engine, path, ownerUid: null }));
    for (const socket of wanted) {
      places.push({
        key: `${engine} ${socket.path}`,
        make: () => engineSource(socket),
        isUsers: socket.ownerUid !== null,
      });
    }
  }
  return places;
}

/**
 * A user's engine is only asked, about what runs in that user's groups. Its events would be the user's word about ids that
 * may be anybody's.
 */
function engineSource(socket: EngineSocket): RuntimeSource {
  const source = new EngineSource(socket);
  if (socket.ownerUid === null) return source;
  const { name, address } = source;
  return {
    name,
    address,
    find: (question, signal) => source.find(question, signal),
    close: () => source.close(),
  };
}

async function socketPlaces(
  runtime: SocketRuntime,
  setting: SocketSetting,
  usual: readonly string[],
  make: (path: string) => RuntimeSource,
): Promise<SourcePlace[]> {
  const places: SourcePlace[] = [];
  for (const path of setting === 'auto' ? usual : setting) {
    if (setting === 'auto' && !(await isSocket(path))) continue;
    places.push({ key: `${runtime} ${path}`, make: () => make(path) });
  }
  return places;
}

async function isSocket(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isSocket();
  } catch {
    return false;
  }
}
