// The question of `fdspan open` as it comes over the control socket: any JSON.
import type { OpenFilesQuery } from '../model/open-file-row.ts';
import { BadQueryError } from './listing.ts';

/** Reads the question; throws a BadQueryError. */
export function readOpenFilesQuery(request: Readonly<Record<string, unknown>>): OpenFilesQuery {
  const { path, container } = request;
  for (const [name, value] of Object.entries({ path, container }))
    if (value !== undefined && typeof value !== 'string') throw new BadQueryError(`open: ${name} is no text`);
  return request;
}
