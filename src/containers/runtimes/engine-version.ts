// Who answers on an engine's socket, and which API version both sides know: podman speaks docker's API too, and
// podman-docker links docker's socket to podman's.
import { nameOf, objectOf } from './answer-fields.ts';
import { DOCKER } from './docker.ts';
import type { EngineDialect } from './engine-dialect.ts';
import { PODMAN } from './podman.ts';

/** The engine behind a socket, as it introduced itself. */
export interface Engine {
  readonly dialect: EngineDialect;
  readonly apiVersion: string;
  readonly runtimeVersion: string | undefined;
}

/** Reads the answer to `/version`. Null when it isn't one of a container engine. */
export function engineOfVersion(value: unknown): Engine | null {
  const answer = objectOf(value);
  const components: unknown[] = Array.isArray(answer.Components) ? answer.Components : [];
  const podman = components.map(objectOf).find(({ Name }) => Name === 'Podman Engine');
  // The engine's own entry tells the versions of podman's API; the answer itself those of docker's.
  const details = podman === undefined ? answer : objectOf(podman.Details);
  const dialect = podman === undefined ? DOCKER : PODMAN;
  if (podman === undefined && nameOf(answer.ApiVersion) === undefined) return null;
  const newest = versionOf(details.ApiVersion ?? details.APIVersion);
  const oldest = versionOf(details.MinAPIVersion);
  return {
    dialect,
    apiVersion: chooseVersion(dialect.apiVersion, oldest, newest),
    runtimeVersion: nameOf((podman ?? answer).Version),
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
