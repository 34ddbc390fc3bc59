// The name and tags in an image reference, `reg:5000/a/b:tag@sha256:…`, as runtimes' APIs give it. Whoever
// created the container chose the text: it may be no reference at all.
import { nameOf } from './fields.ts';
import type { ContainerMetadata } from './runtime-source.ts';

export interface ImageReference {
  /** Registry and path as written, without tag and digest; '' = the text is an image's id and names nothing. */
  readonly name: string;
  readonly tags: readonly string[];
}

/** `sha256:HEX`, `HEX` of a whole id: the reference grammar forbids names of this form. */
const IMAGE_ID = /^(?:[a-z0-9]+(?:[+._-][a-z0-9]+)*:)?[0-9a-f]{64}$/;

/** The reference grammar's tag. Text behind a colon that is none belongs to the name. */
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

/**
 * Splits an image reference. A colon before the last slash is the registry's port. Never throws; time is linear in
 * the text.
 */
export function parseImageReference(text: string): ImageReference {
  const at = text.indexOf('@');
  const tagged = at === -1 ? text : text.slice(0, at);
  if (IMAGE_ID.test(tagged)) return { name: '', tags: [] };
  const colon = tagged.lastIndexOf(':');
  if (colon > tagged.lastIndexOf('/')) {
    const tag = tagged.slice(colon + 1);
    if (TAG.test(tag)) return { name: tagged.slice(0, colon), tags: [tag] };
  }
  return { name: tagged, tags: [] };
}

/** Returns the image's part of a container's metadata; empty when `reference` is no text, too long or an id. */
export function imageMetadata(reference: unknown): Pick<ContainerMetadata, 'imageName' | 'imageTags'> {
  const { name, tags } = parseImageReference(nameOf(reference) ?? '');
  if (name === '') return {};
  return tags.length === 0 ? { imageName: name } : { imageName: name, imageTags: tags };
}
