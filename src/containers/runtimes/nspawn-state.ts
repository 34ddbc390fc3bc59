// systemd-nspawn: machines that are registered have a file in /run/systemd/machines (libvirt's containers too);
// of others only nspawn's own folder for mounts tells. Settings are in NAME.nspawn.
import { stat } from 'node:fs/promises';
import { textOfBytes } from '../byte-text.ts';
import { known } from './fields.ts';
import type { ContainerMetadata, RuntimeSource } from './runtime-source.ts';
import { serviceNameOf } from './service-name.ts';
import { readStateFile, statePath } from './state/state-file.ts';
import { stateSource } from './state/state-source.ts';
import { untilAborted } from './until-aborted.ts';
import { userOfGroup } from './user-slice.ts';

export interface NspawnFolders {
  /** Of the machine manager. */
  readonly machines: string;
  /** Where nspawn keeps a folder for each machine that lets mounts in. */
  readonly propagate: string;
  /** Of NAME.nspawn, the first of them counts. */
  readonly settings: readonly string[];
}

const DEFAULT_FOLDERS: NspawnFolders = {
  machines: '/run/systemd/machines',
  propagate: '/run/systemd/nspawn/propagate',
  settings: ['/etc/systemd/nspawn', '/run/systemd/nspawn'],
};

/** Reason: a few hundred bytes; of the settings, some KiB. */
const FILE_BYTES_MAX = 64 * 1024;

/** The runtime by the service that registered the machine. */
const RUNTIME_OF_SERVICE = new Map([
  ['systemd-nspawn', 'systemd-nspawn'],
  ['libvirt-lxc', 'lxc'],
]);

/** Makes the source. All folders are root's, and know neither a user's machines nor those inside of another container. */
export function nspawnState(folders: NspawnFolders = DEFAULT_FOLDERS): RuntimeSource {
  return stateSource(
    'systemd-nspawn state',
    folders.machines,
    async ({ id, cgroupPath, isNested }, signal) => {
      if (isNested === true || userOfGroup(cgroupPath) !== null) return null;
      const runtimeName = await runtimeOf(folders, id, signal);
      if (runtimeName === null) return null;
      return known<ContainerMetadata>({
        id,
        runtimeName,
        name: textOfBytes(id),
        serviceName: await serviceNameOfSettings(folders, id, signal),
      });
    },
  );
}

async function runtimeOf(folders: NspawnFolders, id: string, signal: AbortSignal): Promise<string | null> {
  const machinePath = statePath(folders.machines, id);
  const propagatePath = statePath(folders.propagate, id);
  if (machinePath === null || propagatePath === null) return null;
  const machine = await readStateFile(machinePath, 0, signal, FILE_BYTES_MAX);
  if (machine !== null) {
    const lines = machine.toString().split('\n');
    // A virtual machine's files are not opened on this kernel.
    if (!lines.includes('CLASS=container')) return null;
    const service = lines.find((line) => line.startsWith('SERVICE='))?.slice('SERVICE='.length);
    return RUNTIME_OF_SERVICE.get(service ?? '') ?? 'systemd-nspawn';
  }
  const folder = await untilAborted(stat(propagatePath), signal).catch(() => null);
  signal.throwIfAborted();
  return folder?.isDirectory() === true ? 'systemd-nspawn' : null;
}

async function serviceNameOfSettings(
  folders: NspawnFolders,
  id: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  for (const folder of folders.settings) {
    const path = statePath(folder, `${id}.nspawn`);
    const bytes = path === null ? null : await readStateFile(path, 0, signal, FILE_BYTES_MAX);
    if (bytes !== null) return serviceNameOf(environmentOf(bytes.toString()));
  }
  return undefined;
}

/** Words of `Environment=` in the section `[Exec]`; a word may be quoted. */
function environmentOf(text: string): string[] {
  const words: string[] = [];
  let section = '';
  for (const line of text.split('\n').map((raw) => raw.trim())) {
    if (line.startsWith('[')) section = line;
    const match = section === '[Exec]' ? /^Environment\s*=(.*)$/.exec(line) : null;
    for (const [, double, single, plain] of (match?.[1] ?? '').matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)) {
      words.push(double ?? single ?? plain);
    }
  }
  return words;
}
