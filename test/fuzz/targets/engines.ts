// Answers of docker and podman about a container: any JSON, with the keys that are asked for.
import fc from 'fast-check';
import { DOCKER } from '../../../src/containers/runtimes/engine/docker.ts';
import { PODMAN } from '../../../src/containers/runtimes/engine/podman.ts';
import { assertRead, inspection } from '../../helpers/engine-answers.ts';
import type { FuzzTarget } from '../fuzz.ts';

type Answer = Parameters<typeof assertRead>[1];

export const ENGINES: FuzzTarget<{ isPodman: boolean; answer: Answer }> = {
  title: 'answers of container engines, any JSON',
  // Reason: making the JSON takes longer than reading it.
  weight: 1 / 4,
  input: fc.record({ isPodman: fc.boolean(), answer: inspection }),
  judge: ({ isPodman, answer }) =>
    assertRead(isPodman ? PODMAN : DOCKER, answer) ? 'with a pod' : 'without',
  expected: ['without'],
};
