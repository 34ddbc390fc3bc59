// LXC: a container is a folder with its configuration, `ROOT/NAME/config`; the name is the id.
import { textOfBytes } from '../byte-text.ts';
import { known } from './fields.ts';
import type { ContainerMetadata, RuntimeSource } from './runtime-source.ts';
import { serviceNameOf } from './service-name.ts';
import { readStateFile, statePath, type StateFolder } from './state/state-file.ts';
import {
  addressOf,
  firstKnown,
  isRootsFolder,
  foldersFor,
  stateSource,
  type FolderOptions,
} from './state/state-source.ts';

export const LXC_ROOT = '/var/lib/lxc';

/** Reason: a page of settings; a thousand mounts are 100 KiB. */
const CONFIG_BYTES_MAX = 256 * 1024;

/**
 * Makes the source. `folders` replaces the default roots: the system's and the group's user's. What a configuration
 * includes (`lxc.include`) isn't read.
 */
export function lxcState(options: FolderOptions = {}): RuntimeSource {
  const address = addressOf(options, LXC_ROOT);
  return stateSource('lxc state', address, async (question, signal) => {
    // Names are given again inside of a container, whose own configuration isn't in these folders.
    if (question.isNested === true) return null;
    const folders = await foldersFor(question, signal, {
      given: options.folders,
      ofRoot: [LXC_ROOT],
      ofUser: (user) => [`${user.home.path}/.local/share/lxc`],
    });
    return firstKnown(folders, signal, (folder) => findIn(folder, question.id, signal), isRootsFolder);
  });
}

async function findIn(
  folder: StateFolder,
  id: string,
  signal: AbortSignal,
): Promise<ContainerMetadata | null> {
  const path = statePath(folder.path, id, 'config');
  const bytes = path === null ? null : await readStateFile(path, folder.ownerUid, signal, CONFIG_BYTES_MAX);
  if (bytes === null) return null;
  return known<ContainerMetadata>({
    id,
    runtimeName: 'lxc',
    name: textOfBytes(id),
    serviceName: serviceNameOf(valuesOf(bytes.toString(), 'lxc.environment')),
  });
}

/** The values of a key that may be given many times, `KEY = VALUE` in a line each. */
function valuesOf(text: string, key: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line.startsWith(key))
    .map((line) => line.slice(key.length).trimStart())
    .filter((rest) => rest.startsWith('='))
    .map((rest) => rest.slice(1).trim());
}
