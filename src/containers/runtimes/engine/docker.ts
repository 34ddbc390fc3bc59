// Docker's API: paths, and what an inspected container looks like.
import { known, nameOf, objectOf, podOfLabels, serviceNameOf, type Answer } from '../answer-fields.ts';
import type { EngineDialect } from './engine-dialect.ts';
import { imageMetadata } from '../image-name.ts';
import { boundLabels } from '../runtime-source.ts';

export const DOCKER: EngineDialect = {
  runtimeName: 'docker',
  // Docker 20.10. Every field used here is older; docker 29 takes 1.44 and newer.
  apiVersion: '1.41',
  inspectPath: (apiVersion, id) => `/v${apiVersion}/containers/${id}/json`,
  eventsPath: (apiVersion, query) => `/v${apiVersion}/events?${query}`,
  events: ['create', 'start', 'rename', 'update'],
  read: (answer) => {
    const config = objectOf(answer.Config);
    return known({
      name: nameOf(typeof answer.Name === 'string' ? answer.Name.replace(/^\//, '') : undefined),
      ociRuntime: ociRuntimeOf(objectOf(answer.HostConfig).Runtime),
      ...(isImageId(config.Image, answer) ? {} : imageMetadata(config.Image)),
      labels: boundLabels(config.Labels),
      serviceName: serviceNameOf(config.Env),
      pod: podOfLabels(config.Labels),
    });
  },
};

/** Returns whether the image was given as the start of its id, which is no name. */
function isImageId(image: unknown, answer: Answer): boolean {
  return (
    typeof image === 'string' && image !== '' && nameOf(answer.Image)?.startsWith(`sha256:${image}`) === true
  );
}

/** Docker knows a runtime by its name in the daemon's configuration, or by containerd's name of its shim. */
function ociRuntimeOf(runtime: unknown): string | undefined {
  const name = nameOf(runtime);
  return name === undefined ? undefined : (/^io\.containerd\.([^.]+)\.v[0-9]+$/.exec(name)?.[1] ?? name);
}
