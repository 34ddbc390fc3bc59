// Whether the folders that fdspan writes can be written. Makes nothing and writes nothing.
import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ok, warning, type Check, type DoctorHost } from './doctor-check.ts';

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
  const folder = await checkFolder(host, {
    name: 'spool',
    folder: spool.dir,
    key: 'export.spool.dir',
    cost: 'what memory can’t hold while the backend is down is dropped',
  });
  checks.push(folder.status === 'ok' ? await checkSpace(host, folder, spool.dir, spool.bytesMax) : folder);
  return checks;
}

async function checkFolder(host: DoctorHost, { name, folder, key, cost }: Place): Promise<Check> {
  const existing = await nearestExisting(host.root, folder);
  const place = existing === folder ? folder : `${folder} (to be made in ${existing})`;
  const why = await whyNotWritten(host.root + existing);
  if (why === null) return ok(name, `${place} can be written`);
  const cure = `Let the user of fdspan write it, or set ${key} to another place; the unit has /run/fdspan and /var/lib/fdspan.`;
  return warning(name, `${place}: ${why}; ${cost}`, cure);
}

async function nearestExisting(root: string, folder: string): Promise<string> {
  for (let path = folder; path !== '/' && path !== '.'; path = dirname(path))
    if (await isThere(root + path)) return path;
  return '/';
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
  );
}

/** The reason by its errno; null when a file can be made in the folder. */
async function whyNotWritten(path: string): Promise<string | null> {
  try {
    if (!(await stat(path)).isDirectory()) return 'ENOTDIR';
    await access(path, constants.W_OK | constants.X_OK);
    return null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

const BYTES_PER_MEBIBYTE = 1 << 20;

/** What the spool has already counts as its own. */
async function checkSpace(host: DoctorHost, folder: Check, dir: string, bytesMax: number): Promise<Check> {
  const { bavail, bsize } = await statfs(host.root + (await nearestExisting(host.root, dir)));
  const [free, wanted] = [bavail * bsize, bytesMax].map((bytes) => Math.floor(bytes / BYTES_PER_MEBIBYTE));
  const detail = `${folder.detail}; ${free} MiB free, ${bytesMax === 0 ? 'no limit' : `${wanted} MiB at most`}`;
  if (free >= wanted) return ok(folder.name, detail);
  return warning(
    folder.name,
    detail,
    'Lower export.spool.bytes_max, or take another disk: a full one makes fdspan go on in memory.',
  );
}
