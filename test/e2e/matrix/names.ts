// What the cells give their containers: names that nothing else on the machine has, and labels as people choose them.
import { randomBytes } from 'node:crypto';

/** Two names of one run. */
export function twoNames(): [string, string] {
  const mark = randomBytes(4).toString('hex');
  return [`fdspan-${mark}-first`, `fdspan-${mark}-second`];
}

/** Other letters, an empty value, and a key that the other container doesn't have. */
export function labelsOf(name: string): Record<string, string> {
  return { 'com.example/owner': `shop & söhne ${name}`, empty: '', [`only.${name}`]: '1' };
}

/** Labels as a command line takes them. */
export function labelArguments(labels: Readonly<Record<string, string>>): string[] {
  return Object.entries(labels).flatMap(([key, value]) => ['--label', `${key}=${value}`]);
}

/** The attributes of an image of this reference. */
export function imageAttributes(reference: string): Record<string, string | string[]> {
  const colon = reference.lastIndexOf(':');
  return {
    'container.image.name': reference.slice(0, colon),
    'container.image.tags': [reference.slice(colon + 1)],
  };
}

/** `containers.runtimes` with everything off but what the cell names: it shows which source told. */
export function onlyAsk(runtimes: Readonly<Record<string, string>>): Record<string, string> {
  return { docker: 'off', podman: 'off', containerd: 'off', cri: 'off', state: 'off', ...runtimes };
}
