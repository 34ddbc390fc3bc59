// The labels of a container from several places: its own, its pod's, and annotations.
import { recordOf } from './fields.ts';
import { boundLabels, droppedLabels } from './runtime-source.ts';

/** Annotations by which users name the service of a container. */
const RESOURCE_ANNOTATIONS = 'resource.opentelemetry.io/';

/**
 * Merges labels, bounded by {@link boundLabels}: an earlier place beats a later one of the same key. Of the annotations
 * only those count that name services; Kubernetes and podman have no other place for them.
 */
export function mergeLabels(places: readonly unknown[], annotations: unknown): ReadonlyMap<string, string> {
  const merged = new Map<string, string>();
  const keys = new Set<string>();
  let more = 0;
  for (const place of [...places, resourceAnnotations(annotations)]) {
    const bound = boundLabels(place);
    for (const [key, value] of bound) if (!merged.has(key)) merged.set(key, value);
    const left = droppedLabels(bound);
    for (const key of left.keys) keys.add(key);
    more += left.more;
  }
  // What another place has under the same key isn't missing.
  const before = { keys: [...keys].filter((key) => !merged.has(key)), more };
  return boundLabels(Object.fromEntries(merged), before);
}

function resourceAnnotations(annotations: unknown): Record<string, unknown> {
  const entries = Object.entries(recordOf(annotations) ?? {});
  return Object.fromEntries(entries.filter(([key]) => key.startsWith(RESOURCE_ANNOTATIONS)));
}
