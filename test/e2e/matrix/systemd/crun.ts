// What crun asks of a host with a booted systemd, and refuses there.
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import type { CellHost } from './host.ts';

/** What systemd doesn't make in v1, crun doesn't make either: the controllers' groups, and the v2 one, are shared. */
export const SHARED_GROUPS =
  'all containers are in one group, /container, in v2 and in every v1 hierarchy but name=systemd';

/** It loads a BPF program for devices, and wants a memory lock limit for it that not every machine lets it have. */
export const CRUN_REFUSAL = { refusal: /crun: setrlimit \(RLIM_MEMLOCK\): Operation not permitted/ };

/** crun takes a hybrid host for an unsupported one as soon as it sees this file. */
export async function hideControllers(host: CellHost): Promise<void> {
  const file = '/sys/fs/cgroup/unified/cgroup.controllers';
  if (existsSync(`${host.root}${file}`)) await host.run('mount', '--bind', '/dev/null', file);
}

/** As for CRUN_REFUSAL; alone, crun can be told to leave devices alone. */
export async function dropDeviceRules(configPath: string): Promise<void> {
  const config = JSON.parse(await readFile(configPath, 'utf8'));
  delete config.linux.resources.devices;
  await writeFile(configPath, JSON.stringify(config));
}
