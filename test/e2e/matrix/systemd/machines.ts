// The cells of LXC and systemd-nspawn, whose containers have names and nothing else, on a host with a booted systemd.
import { mkdir, writeFile } from 'node:fs/promises';
import { makeRootfs } from '../../../helpers/busybox-image.ts';
import { script, type CellContainer } from '../cell.ts';
import { twoNames } from '../names.ts';
import { FOLDER, type Part } from './host.ts';

/** What a runtime tells that has names only. */
function nameOnly(name: string, runtime: string): CellContainer['expected'] {
  return {
    'service.name': name,
    'container.name': name,
    'container.image.name': undefined,
    'container.runtime.name': runtime,
    'fdspan.oci.runtime': undefined,
  };
}

export const lxc: Part = {
  runtime: 'lxc',
  groups: 'cgroupfs',
  commands: ['lxc-start'],
  start: async (host) => {
    const containers: CellContainer[] = [];
    await host.run('mkdir', '-p', '/var/lib/lxc');
    for (const name of twoNames()) {
      const folder = await host.folder(name);
      await makeRootfs(`${folder}/rootfs`);
      for (const target of ['proc', 'sys', 'dev']) await mkdir(`${folder}/rootfs/${target}`);
      await mkdir(`${host.root}/var/lib/lxc/${name}`);
      const config = `lxc.rootfs.path = dir:${FOLDER}/${name}/rootfs\nlxc.net.0.type = empty\n`;
      await writeFile(`${host.root}/var/lib/lxc/${name}/config`, config);
      const command = ['lxc-start', '-n', name, '-o', `${FOLDER}/${name}/lxc.log`, '-l', 'INFO', '--'];
      command.push('/bin/sh', '-c', script(name));
      await host.runDetaching(`${FOLDER}/${name}/log`, ...command);
      const place = await host.placeOf(await host.run('lxc-info', '-n', name, '-pH'));
      containers.push({ marker: name, id: name, ...place, expected: nameOnly(name, 'lxc'), labels: {} });
    }
    return containers;
  },
};

export const nspawn: Part = {
  runtime: 'systemd-nspawn, registered',
  groups: 'systemd',
  commands: ['systemd-nspawn', 'dbus-daemon'],
  start: async (host) => {
    const containers: CellContainer[] = [];
    for (const name of twoNames()) {
      const folder = await host.folder(name);
      await makeRootfs(`${folder}/rootfs`);
      await mkdir(`${folder}/rootfs/usr`);
      await writeFile(`${folder}/rootfs/etc/os-release`, 'ID=fdspan\n');
      const argv = ['systemd-nspawn', '--register=yes', '--private-network', '--kill-signal=SIGKILL'];
      argv.push('-M', name, '-D', `${FOLDER}/${name}/rootfs`, '/bin/sh', '-c', script(name));
      const inPayload = `grep -q /payload$ /proc/$(machinectl show ${name} --property Leader --value)/cgroup`;
      await host.startService(`fdspan-${name}`, argv, ['sh', '-c', inPayload]);
      const pid = await host.run('machinectl', 'show', name, '--property', 'Leader', '--value');
      const { processFolder, group } = await host.placeOf(pid);
      // The payload's group lies in the machine's.
      const path = group['fdspan.cgroup.path'].replace(/\/payload$/, '');
      containers.push({
        marker: name,
        id: name,
        processFolder,
        group: { ...group, 'fdspan.cgroup.path': path },
        expected: nameOnly(name, 'systemd-nspawn'),
        labels: {},
      });
    }
    return containers;
  },
};
