// What an OCI bundle's config.json and a runtime's annotations tell of a container, whoever wrote them:
// containerd's CRI plugin, CRI-O, nerdctl, podman, or a person.
import { fieldsOf, known, nameOf, recordOfText, type Fields } from '../fields.ts';
import { imageMetadata } from '../image-name.ts';
import { mergeLabels } from '../labels.ts';
import { podIdentityOf, podOf } from '../pod.ts';
import { boundLabels, NAME_BYTES_MAX, type ContainerMetadata } from '../runtime-source.ts';

export interface AnnotatedMetadata {
  /** Who runs the container through the OCI runtime; null where the annotations don't tell. */
  readonly manager: 'podman' | 'cri-o' | 'containerd' | null;
  readonly metadata: Pick<ContainerMetadata, 'name' | 'imageName' | 'imageTags' | 'labels' | 'pod'>;
}

const MANAGERS = new Map<unknown, 'podman' | 'cri-o'>([
  ['libpod', 'podman'],
  ['cri-o', 'cri-o'],
]);

/** Reads what is known under the keys of those who write annotations; anything that is no object tells nothing. */
export function readAnnotations(annotations: unknown): AnnotatedMetadata {
  const all = fieldsOf(annotations);
  const manager = MANAGERS.get(all['io.container.manager']) ?? null;
  if (manager === 'cri-o' || (manager === null && 'io.kubernetes.cri-o.ContainerType' in all)) {
    return { manager: 'cri-o', metadata: readCrio(all) };
  }
  if ('io.kubernetes.cri.container-type' in all) return { manager: 'containerd', metadata: readCri(all) };
  return { manager, metadata: readOther(all) };
}

/** The keys of containerd's CRI plugin. */
function readCri(all: Fields): AnnotatedMetadata['metadata'] {
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
function readCrio(all: Fields): AnnotatedMetadata['metadata'] {
  const labels = fieldsOf(recordOfText(all['io.kubernetes.cri-o.Labels']));
  const annotations = fieldsOf(recordOfText(all['io.kubernetes.cri-o.Annotations']));
  const { containerName, restartCount, ...ofPod } = podIdentityOf({ ...annotations, ...labels, ...all });
  const isSandbox = all['io.kubernetes.cri-o.ContainerType'] === 'sandbox';
  return known<AnnotatedMetadata['metadata']>({
    name: nameOf(all['io.kubernetes.cri-o.ContainerName'] ?? all['io.kubernetes.cri-o.Name']),
    ...imageMetadata(all['io.kubernetes.cri-o.ImageName']),
    labels: mergeLabels([labels], annotations),
    pod: podOf(isSandbox ? ofPod : { ...ofPod, containerName, restartCount }),
  });
}

function readOther(all: Fields): AnnotatedMetadata['metadata'] {
  const reference = all['org.opencontainers.image.ref.name'];
  // The image layout lets a mere tag stand there.
  const isWhole = typeof reference === 'string' && /[/:@]/.test(reference.slice(0, NAME_BYTES_MAX));
  return known<AnnotatedMetadata['metadata']>({
    name: nameOf(all['nerdctl/name']),
    ...(isWhole ? imageMetadata(reference) : {}),
    labels: boundLabels(all),
    pod: podOf(podIdentityOf(all)),
  });
}
