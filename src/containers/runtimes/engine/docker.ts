// Docker's API: paths, and what a container looks like, in an answer or in dockerd's own files.
import { fieldsOf, known, nameOf, type Fields } from '../fields.ts';
import { imageMetadata } from '../image-name.ts';
import { ociRuntimeOfShim } from '../oci-runtime-name.ts';
import { podIdentityOf, podOf } from '../pod.ts';
import { boundLabels } from '../runtime-source.ts';
import { serviceNameOf } from '../service-name.ts';
import type { EngineDialect, InspectedContainer } from './engine-dialect.ts';

export const DOCKER: EngineDialect = {
  runtimeName: 'docker',
  // Docker 20.10. Every field used here is older; docker 29 takes 1.44 and newer.
  apiVersion: '1.41',
  inspectPath: (apiVersion, id) => `/v${apiVersion}/containers/${id}/json`,
  eventsPath: (apiVersion, query) => `/v${apiVersion}/events?${query}`,
  events: ['create', 'start', 'rename', 'update'],
  read: (answer) => {
    const config = fieldsOf(answer.Config);
    return known<InspectedContainer>({
      name: nameOf(typeof answer.Name === 'string' ? answer.Name.replace(/^\//, '') : undefined),
      ociRuntime: ociRuntimeOf(fieldsOf(answer.HostConfig).Runtime),
      ...(isImageId(config.Image, answer) ? {} : imageMetadata(config.Image)),
      labels: boundLabels(config.Labels),
      serviceName: serviceNameOf(config.Env),
      pod: podOf(podIdentityOf(config.Labels)),
    });
  },
};

/** Returns whether the image was given as the start of its id, which is no name. */
function isImageId(image: unknown, answer: Fields): boolean {
  return (
    typeof image === 'string' && image !== '' && nameOf(answer.Image)?.startsWith(`sha256:${image}`) === true
  );
}

/** Docker knows a runtime by its name in the daemon's configuration, or by containerd's name of its shim. */
function ociRuntimeOf(runtime: unknown): string | undefined {
  return ociRuntimeOfShim(runtime) ?? nameOf(runtime);
}
