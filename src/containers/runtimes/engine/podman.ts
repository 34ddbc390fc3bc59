// Podman's own API (libpod): paths, and what an inspected container looks like.
import { basename } from 'node:path';
import { known, nameOf, objectOf, podOfLabels, serviceNameOf } from '../answer-fields.ts';
import type { EngineDialect } from './engine-dialect.ts';
import { imageMetadata } from '../image-name.ts';
import { boundLabels } from '../runtime-source.ts';

export const PODMAN: EngineDialect = {
  runtimeName: 'podman',
  // Podman 4 and 5 take it; used when podman's own version can't be read.
  apiVersion: '4.0.0',
  inspectPath: (apiVersion, id) => `/v${apiVersion}/libpod/containers/${id}/json`,
  eventsPath: (apiVersion, query) => `/v${apiVersion}/libpod/events?stream=true&${query}`,
  events: ['create', 'init', 'start', 'rename', 'update'],
  read: (answer) => {
    const config = objectOf(answer.Config);
    const runtime = nameOf(answer.OCIRuntime);
    return known({
      name: nameOf(answer.Name),
      // A name of containers.conf, or the path given by --runtime.
      ociRuntime: runtime === undefined ? undefined : nameOf(basename(runtime)),
      ...imageMetadata(answer.ImageName ?? config.Image),
      labels: boundLabels(config.Labels),
      serviceName: serviceNameOf(config.Env),
      // Podman's own pods aren't Kubernetes pods, and have no namespace.
      pod: podOfLabels(config.Annotations),
    });
  },
};
