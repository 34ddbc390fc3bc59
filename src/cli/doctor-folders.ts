// Whether the folders that fdspan writes can be written. Makes nothing and writes nothing.
import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { lookAtSpoolFolder } from '../export/spool/check-folder.ts';
import { lookAtFolder, type FolderLook } from '../model/look-at-folder.ts';
import { ok, warning, type Check, type DoctorHost } from './doctor-check.ts';

const { W_OK, X_OK } = constants;
const BYTES_PER_MEBIBYTE = 1 << 20;

export interface WrittenPlaces {
  readonly socket: string;
  /** null: none is kept. */
  readonly stateFile: string | null;
  /** null dir: no spool. */
  readonly spool: { readonly dir: string | null; readonly bytesMax: number };
}

interface Place {
  readonly name: string;
  readonly folder: string;
  readonly key: string;
  readonly cost: string;
}

/** One line for each place that the configuration names. A collector goes on without any of them. */
export async function checkFolders(host: DoctorHost, places: WrittenPlaces): Promise<Check[]> {
  const { socket, stateFile, spool } = places;
  const checks = [
    await checkFolder(host, {
      name: 'control socket',
      folder: dirname(socket),
      key: 'control.socket',
      cost: 'tail, status, open and containers have nobody to ask',
    }),
  ];
  if (stateFile !== null)
    checks.push(
      await checkFolder(host, {
        name: 'state file',
        folder: dirname(stateFile),
        key: 'control.state_file',
        cost: 'a restart doesn’t know since when files are open',
      }),
    );
  if (spool.dir === null) {
    checks.push(
      ok('spool', 'none (export.spool.dir): what memory can’t hold while the backend is down is dropped'),
    );
    return checks;
  }
  checks.push(await checkSpool(host, spool.dir, spool.bytesMax));
  return checks;
}

async function checkFolder(host: DoctorHost, place: Place): Promise<Check> {
  return checkOf(place, await lookAtFolder(place.folder, W_OK | X_OK, host.root));
}

function checkOf({ name, folder, key, cost }: Place, { existing, error }: FolderLook): Check {
  const place = existing === folder ? folder : `${folder} (to be made in ${existing})`;
  if (error === null) return ok(name, `${place} can be written`);
  const cure = `Let the user of fdspan write it, or set ${key} to another place; the unit has /run/fdspan and /var/lib/fdspan.`;
  return warning(name, `${place}: ${error.code ?? error.message}; ${cost}`, cure);
}

async function checkSpool(host: DoctorHost, dir: string, bytesMax: number): Promise<Check> {
  const look = await lookAtSpoolFolder(dir, bytesMax, host.root);
  const folder = checkOf(
    {
      name: 'spool',
      folder: dir,
      key: 'export.spool.dir',
      cost: 'what memory can’t hold while the backend is down is dropped',
    },
    look,
  );
  if (look.error !== null) return folder;
  const [room, most] = [look.roomBytes, bytesMax].map((bytes) => Math.floor(bytes / BYTES_PER_MEBIBYTE));
  const detail = `${folder.detail}; room for ${room} MiB, ${most} MiB at most`;
  if (!look.isTooSmall) return ok(folder.name, detail);
  return warning(
    folder.name,
    detail,
    'Lower export.spool.bytes_max, or take another disk: a full one makes fdspan go on in memory.',
  );
}
