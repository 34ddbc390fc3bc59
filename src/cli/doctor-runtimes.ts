// Which container runtimes this host has, by their sockets, state folders and binaries. Nothing is executed.
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter } from 'node:path';
import { ok, warning, type Check, type DoctorHost } from './doctor-check.ts';

const SOCKETS = [
  '/run/docker.sock',
  '/run/podman/podman.sock',
  '/run/containerd/containerd.sock',
  '/run/crio/crio.sock',
];
const STATE_FOLDERS = ['/run/runc', '/run/crun', '/run/containerd', '/run/docker/runtime-runc'];
const BINARIES = [
  'docker',
  'dockerd',
  'podman',
  'containerd',
  'crio',
  'runc',
  'crun',
  'runsc',
  'lxc-start',
  'systemd-nspawn',
];
const PATH_DEFAULT = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

async function isSocket(path: string): Promise<boolean> {
  return stat(path).then(
    (file) => file.isSocket(),
    () => false,
  );
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (file) => file.isDirectory(),
    () => false,
  );
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function canConnect(path: string): Promise<boolean> {
  return access(path, constants.W_OK).then(
    () => true,
    () => false,
  );
}

async function filter(paths: readonly string[], test: (path: string) => Promise<boolean>): Promise<string[]> {
  const results = await Promise.all(paths.map(test));
  return paths.filter((_, index) => results[index]);
}

async function binaries(host: DoctorHost): Promise<string[]> {
  const folders = (host.environment.PATH || PATH_DEFAULT)
    .split(delimiter)
    .filter((folder) => folder.startsWith('/'));
  return filter(BINARIES, async (name) => {
    const found = await Promise.all(folders.map((folder) => isExecutable(`${host.root}${folder}/${name}`)));
    return found.includes(true);
  });
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ');
}

/** Lists the runtimes found; warns where none is, or where a socket can't be connected to. */
export async function checkRuntimes(host: DoctorHost): Promise<Check[]> {
  const at = (path: string): string => host.root + path;
  const sockets = await filter(SOCKETS, (path) => isSocket(at(path)));
  const states = await filter(STATE_FOLDERS, (path) => isFolder(at(path)));
  const programs = await binaries(host);
  const checks: Check[] = [];
  const detail = `programs: ${listed(programs)}; sockets: ${listed(sockets)}; state: ${listed(states)}`;
  if (sockets.length + states.length + programs.length === 0) {
    checks.push(
      warning(
        'runtimes',
        'none found',
        'Install a container runtime, or mount its /run folder into fdspan’s own container.',
      ),
    );
  } else {
    checks.push(ok('runtimes', detail));
  }
  for (const path of sockets) {
    if (await canConnect(at(path))) continue;
    checks.push(
      warning(
        'runtime socket',
        `${path}: no write permission`,
        'Run as root or add CAP_DAC_OVERRIDE; names and labels need the socket.',
      ),
    );
  }
  return checks;
}
