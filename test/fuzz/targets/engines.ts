// Answers of docker, podman, containerd and the Kubernetes runtime interface about a container: any JSON, with the keys
// that are asked for.
import fc from 'fast-check';
import { DOCKER } from '../../../src/containers/runtimes/engine/docker.ts';
import { PODMAN } from '../../../src/containers/runtimes/engine/podman.ts';
import {
  containerdMetadata,
  sandboxIdOf,
} from '../../../src/containers/runtimes/grpc/containerd-metadata.ts';
import {
  criContainer,
  criSandbox,
  infoOf,
  sandboxIdOfInfo,
} from '../../../src/containers/runtimes/grpc/cri-metadata.ts';
import { assertRead, inspection, labels, value } from '../../helpers/engine-answers.ts';
import { assertBounded } from '../../helpers/state-cases.ts';
import type { FuzzTarget } from '../fuzz.ts';

type Answer = Parameters<typeof assertRead>[1];

export const ENGINES: FuzzTarget<{ isPodman: boolean; answer: Answer }> = {
  title: 'answers of docker and podman, any JSON',
  // Reason: making the JSON takes longer than reading it.
  weight: 1 / 5,
  input: fc.record({ isPodman: fc.boolean(), answer: inspection }),
  judge: ({ isPodman, answer }) =>
    assertRead(isPodman ? PODMAN : DOCKER, answer) ? 'with a pod' : 'without a pod',
  expected: ['without a pod'],
};

const optional = { requiredKeys: [] };
/** A protobuf Any that holds JSON. */
const any = fc.oneof(
  value,
  fc.record({ value: fc.jsonValue().map((json) => Buffer.from(JSON.stringify(json))) }),
  fc.record({ value: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)) }),
);
const metadata = fc.oneof(
  value,
  fc.record({ name: value, namespace: value, uid: value, attempt: value }, optional),
);
const extension = (kind: string): fc.Arbitrary<object> =>
  fc
    .record(
      { SandboxID: value, Config: fc.oneof(value, fc.record({ metadata, annotations: labels }, optional)) },
      optional,
    )
    .map((Metadata) => ({
      [`io.cri-containerd.${kind}.metadata`]: { value: Buffer.from(JSON.stringify({ Metadata })) },
    }));
const kinds = fc.constantFrom('container', 'sandbox');
const container = fc.record(
  {
    id: value,
    labels: fc.oneof(
      labels,
      kinds.map((kind) => ({ 'io.cri-containerd.kind': kind })),
    ),
    image: value,
    runtime: fc.oneof(value, fc.record({ name: value })),
    spec: any,
    extensions: fc.oneof(value, kinds.chain(extension)),
  },
  optional,
);
const status = fc.record(
  {
    id: value,
    metadata,
    image: fc.oneof(value, fc.record({ image: value }, optional)),
    labels,
    annotations: labels,
  },
  optional,
);
const info = fc.oneof(
  value,
  fc.jsonValue().map((json) => ({ info: JSON.stringify(json) })),
);

type Fields = Record<string, unknown>;

interface Input {
  readonly isCri: boolean;
  readonly container: Fields;
  readonly sandbox: Fields;
  readonly status: Fields;
  readonly info: unknown;
}

export const GRPC_RUNTIMES: FuzzTarget<Input> = {
  title: "answers of containerd and of Kubernetes' runtime interface, any JSON",
  // Reason: as above.
  weight: 1 / 5,
  input: fc.record({ isCri: fc.boolean(), container, sandbox: fc.oneof(container, status), status, info }),
  judge: ({ isCri, container: ofContainerd, sandbox, status: ofCri, info: verbose }) => {
    if (isCri) {
      const told = infoOf({ info: verbose });
      const runtime = { name: 'cri-o', version: '1.31' };
      sandboxIdOfInfo(told);
      // Protobuf gives a text, always.
      const id = { id: 'id' };
      assertBounded(criContainer({ ...ofCri, ...id }, told, sandbox, runtime));
      assertBounded(criSandbox({ ...sandbox, ...id }, runtime));
      return 'of the interface';
    }
    sandboxIdOf(ofContainerd);
    const record = { namespace: 'k8s.io', container: ofContainerd, runcOptions: {}, sandbox, version: '2.0' };
    const found = containerdMetadata(record);
    if (found === null) return 'without an id';
    assertBounded(found);
    return 'of containerd';
  },
  expected: ['of the interface', 'of containerd', 'without an id'],
};
