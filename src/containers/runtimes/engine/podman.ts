// Podman's own API (libpod): paths, and what an inspected container looks like.
import { fieldsOf, known, nameOf } from '../fields.ts';
import { imageMetadata } from '../image-name.ts';
import { mergeLabels } from '../labels.ts';
import { ociRuntimeOfBinary } from '../oci-runtime-name.ts';
import { podIdentityOf, podOf } from '../pod.ts';
import { serviceNameOf } from '../service-name.ts';
import type { EngineDialect, InspectedContainer } from './engine-dialect.ts';

export const PODMAN: EngineDialect = {
  runtimeName: 'podman',
  // Podman 4 and 5 take it; used when podman's own version can't be read.
  apiVersion: '4.0.0',
  inspectPath: (apiVersion, id) => `/v${apiVersion}/libpod/containers/${id}/json`,
  eventsPath: (apiVersion, query) => `/v${apiVersion}/libpod/events?stream=true&${query}`,
  events: ['create', 'init', 'start', 'rename', 'update'],
  read: (answer) => {
    const config = fieldsOf(answer.Config);
    return known<InspectedContainer>({
      name: nameOf(answer.Name),
      // A name of containers.conf, or the path given by --runtime.
      ociRuntime: ociRuntimeOfBinary(answer.OCIRuntime),
      ...imageMetadata(answer.ImageName ?? config.Image),
      labels: mergeLabels([config.Labels], config.Annotations),
      serviceName: serviceNameOf(config.Env),
      // Podman's own pods aren't Kubernetes pods, and have no namespace.
      pod: podOf(podIdentityOf(config.Annotations)),
    });
  },
};
