// Who answers on an engine's socket, and which API version both sides know: podman speaks docker's API too, and
// podman-docker links docker's socket to podman's.
import type { IncomingHttpHeaders } from 'node:http';
import { nameOf, type Fields } from '../fields.ts';
import { DOCKER } from './docker.ts';
import type { EngineDialect } from './engine-dialect.ts';
import { PODMAN } from './podman.ts';

/** The engine behind a socket, as it introduced itself. */
export interface Engine {
  readonly dialect: EngineDialect;
  readonly apiVersion: string;
  readonly runtimeVersion: string | undefined;
}

/**
 * Reads the headers of podman's answer to `/_ping`; null when it isn't podman that answers. Its `/version` tells no
 * more, and takes up to a second: it runs its helpers and asks the package manager who they are.
 */
export function podmanOfPing(headers: IncomingHttpHeaders): Engine | null {
  const runtimeVersion = nameOf(headers['libpod-api-version']);
  if (runtimeVersion === undefined) return null;
  // Podman takes its own version in a path, and older ones down to one that it doesn't tell here.
  const apiVersion = versionOf(/^[0-9.]+/.exec(runtimeVersion)?.[0]) ?? PODMAN.apiVersion;
  return { dialect: PODMAN, apiVersion, runtimeVersion };
}

/** Reads docker's answer to `/version`. Null when it isn't one of a container engine. */
export function dockerOfVersion(answer: Fields | null): Engine | null {
  if (answer === null || nameOf(answer.ApiVersion) === undefined) return null;
  const newest = versionOf(answer.ApiVersion);
  const oldest = versionOf(answer.MinAPIVersion);
  return {
    dialect: DOCKER,
    apiVersion: chooseVersion(DOCKER.apiVersion, oldest, newest),
    runtimeVersion: nameOf(answer.Version),
  };
}

/**
 * Returns the path and query that ask for the events of containers since a moment: an engine that is asked for those to
 * come starts to watch at a time of its own, and loses what happens before.
 */
export function eventsPathOf({ dialect, apiVersion }: Engine, sinceUnixMs: number): string {
  const query = new URLSearchParams({
    filters: JSON.stringify({ type: ['container'], event: dialect.events }),
    since: Math.floor(sinceUnixMs / 1000).toString(),
  });
  return dialect.eventsPath(apiVersion, query.toString());
}

/** Versions stand in paths: anything else than numbers and dots is none. */
function versionOf(value: unknown): string | null {
  return typeof value === 'string' && /^[0-9]{1,5}(?:\.[0-9]{1,5}){1,2}$/.test(value) ? value : null;
}

function chooseVersion(wanted: string, oldest: string | null, newest: string | null): string {
  if (oldest !== null && compareVersions(wanted, oldest) < 0) return oldest;
  if (newest !== null && compareVersions(wanted, newest) > 0) return newest;
  return wanted;
}

function compareVersions(left: string, right: string): number {
  const lefts = left.split('.').map(Number);
  const rights = right.split('.').map(Number);
  for (let i = 0; i < Math.max(lefts.length, rights.length); i++) {
    const difference = (lefts[i] ?? 0) - (rights[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
