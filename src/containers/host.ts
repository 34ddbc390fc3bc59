// Attributes of the host that every container's resource carries.
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { Attributes } from '../model/attributes.ts';

/** Reads host.name, host.id (left out where there is no machine id) and os.type. */
export async function hostAttributes(machineIdFile: string = '/etc/machine-id'): Promise<Attributes> {
  const attributes: Record<string, string> = { 'host.name': hostname(), 'os.type': 'linux' };
  const machineId = await readFile(machineIdFile, 'latin1').then(
    (text) => text.trim(),
    () => '',
  );
  // "uninitialized" stands there until the first boot has finished (machine-id(5)).
  if (/^[0-9a-f]{32}$/.test(machineId)) attributes['host.id'] = machineId;
  return attributes;
}
