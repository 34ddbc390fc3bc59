// What an OCI bundle's config.json and a runtime's annotations tell of a container, whoever wrote them:
// containerd's CRI plugin, CRI-O, nerdctl, podman, or a person.
import { imageMetadata } from '../image-name.ts';
import { boundLabels, NAME_BYTES_MAX, type ContainerMetadata, type PodMetadata } from '../runtime-source.ts';
import { known, nameOf, recordOf, recordOfText, type JsonRecord } from './state-file.ts';

export interface AnnotatedMetadata {
  /** Who runs the container through the OCI runtime; null where the annotations don't tell. */
  readonly manager: 'podman' | 'cri-o' | 'containerd' | null;
  readonly metadata: Pick<ContainerMetadata, 'name' | 'imageName' | 'imageTags' | 'labels' | 'pod'>;
}

const MANAGERS = new Map<unknown, 'podman' | 'cri-o'>([
  ['libpod', 'podman'],
  ['cri-o', 'cri-o'],
]);

const SERVICE_NAME = 'OTEL_SERVICE_NAME=';

/** The value of OTEL_SERVICE_NAME in a list of `KEY=VALUE`; of several the last, which is the one that is set. */
export function serviceNameOf(env: unknown): string | undefined {
  if (!Array.isArray(env)) return undefined;
  const entry: unknown = env.findLast((item) => typeof item === 'string' && item.startsWith(SERVICE_NAME));
  return typeof entry === 'string' ? nameOf(entry.slice(SERVICE_NAME.length)) : undefined;
}

/** The service name in the environment of a bundle's config.json. */
export function serviceNameOfConfig(config: JsonRecord): string | undefined {
  return serviceNameOf(recordOf(config.process)?.env);
}

/** Reads what is known under the keys of those who write annotations; anything that is no object tells nothing. */
export function readAnnotations(annotations: unknown): AnnotatedMetadata {
  const all = recordOf(annotations) ?? {};
  const manager = MANAGERS.get(all['io.container.manager']) ?? null;
  if (manager === 'cri-o' || (manager === null && 'io.kubernetes.cri-o.ContainerType' in all)) {
    return { manager: 'cri-o', metadata: readCrio(all) };
  }
  if ('io.kubernetes.cri.container-type' in all) return { manager: 'containerd', metadata: readCri(all) };
  return { manager, metadata: readOther(all) };
}

/** The keys of containerd's CRI plugin. */
function readCri(all: JsonRecord): AnnotatedMetadata['metadata'] {
  const isSandbox = all['io.kubernetes.cri.container-type'] === 'sandbox';
  const containerName = isSandbox ? undefined : nameOf(all['io.kubernetes.cri.container-name']);
  return known<AnnotatedMetadata['metadata']>({
    name: containerName,
    ...imageMetadata(all['io.kubernetes.cri.image-name']),
    labels: boundLabels(all),
    pod: podOf({
      name: all['io.kubernetes.cri.sandbox-name'],
      namespace: all['io.kubernetes.cri.sandbox-namespace'],
      uid: all['io.kubernetes.cri.sandbox-uid'],
      containerName,
    }),
  });
}

/** CRI-O keeps labels and the kubelet's annotations as JSON in annotations of its own. */
function readCrio(all: JsonRecord): AnnotatedMetadata['metadata'] {
  const labels = recordOfText(all['io.kubernetes.cri-o.Labels']) ?? {};
  const annotations = recordOfText(all['io.kubernetes.cri-o.Annotations']) ?? {};
  const read = (key: string): unknown => all[key] ?? labels[key] ?? annotations[key];
  const isSandbox = all['io.kubernetes.cri-o.ContainerType'] === 'sandbox';
  return known<AnnotatedMetadata['metadata']>({
    name: nameOf(all['io.kubernetes.cri-o.ContainerName'] ?? all['io.kubernetes.cri-o.Name']),
    ...imageMetadata(all['io.kubernetes.cri-o.ImageName']),
    labels: boundLabels({ ...labels, ...annotations }),
    pod: podOf({
      name: read('io.kubernetes.pod.name'),
      namespace: read('io.kubernetes.pod.namespace'),
      uid: read('io.kubernetes.pod.uid'),
      containerName: isSandbox ? undefined : nameOf(read('io.kubernetes.container.name')),
      restartCount: read('io.kubernetes.container.restartCount'),
    }),
  });
}

function readOther(all: JsonRecord): AnnotatedMetadata['metadata'] {
  const reference = all['org.opencontainers.image.ref.name'];
  // The image layout lets a mere tag stand there.
  const isWhole = typeof reference === 'string' && /[/:@]/.test(reference.slice(0, NAME_BYTES_MAX));
  return known<AnnotatedMetadata['metadata']>({
    name: nameOf(all['nerdctl/name']),
    ...(isWhole ? imageMetadata(reference) : {}),
    labels: boundLabels(all),
  });
}

interface PodFields {
  readonly name: unknown;
  readonly namespace: unknown;
  readonly uid: unknown;
  readonly containerName: string | undefined;
  readonly restartCount?: unknown;
}

function podOf(fields: PodFields): PodMetadata | undefined {
  const [name, namespace, uid] = [nameOf(fields.name), nameOf(fields.namespace), nameOf(fields.uid)];
  if (name === undefined || namespace === undefined || uid === undefined) return undefined;
  const { containerName, restartCount } = fields;
  const isCount = typeof restartCount === 'string' && /^[0-9]{1,9}$/.test(restartCount);
  return known<PodMetadata>({
    name,
    namespace,
    uid,
    containerName,
    restartCount: isCount ? Number(restartCount) : undefined,
  });
}
