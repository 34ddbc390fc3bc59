// The cells of containerd on a host with a booted systemd.
import { randomBytes } from 'node:crypto';
import { makeArchive } from '../../../helpers/containerd.ts';
import { script, type CellContainer } from '../cell.ts';
import { imageAttributes, labelArguments, labelsOf, twoNames } from '../names.ts';
import { FOLDER, IMAGE, type GroupDriver, type Part } from './host.ts';

/** Under systemd the id is one as nerdctl makes it, and so is the group. */
export function containerd(groups: GroupDriver): Part {
  return {
    runtime: groups === 'systemd' ? 'containerd by ctr, as nerdctl does' : 'containerd by ctr, runc',
    groups,
    commands: ['containerd', 'ctr', 'runc'],
    start: async (host) => {
      await host.mountEmpty('/var/lib/containerd');
      const isReady = ['ctr', 'version'];
      await host.startService('fdspan-containerd', ['containerd'], isReady);
      const version = (await host.run('containerd', '--version')).split(' ')[2];
      const names = twoNames();
      const namespace = `${names[0]}-space`;
      await makeArchive(await host.folder('image'), IMAGE);
      await host.run('ctr', '--namespace', namespace, 'images', 'import', `${FOLDER}/image/images.tar`);
      const containers: CellContainer[] = [];
      for (const name of names) {
        const id = groups === 'systemd' ? randomBytes(32).toString('hex') : name;
        const labels = labelsOf(name);
        const driver =
          groups === 'systemd' ? ['--runc-systemd-cgroup', '--cgroup', `system.slice:nerdctl:${id}`] : [];
        const args = ['--namespace', namespace, 'run', '--detach', '--null-io', ...driver];
        // Shares of the processor need a controller that a unified host may not have.
        args.push('--cpu-shares', '0');
        args.push(...labelArguments(labels), IMAGE, id, '/bin/sh', '-c', script(name));
        await host.run('ctr', ...args);
        const tasks = await host.run('ctr', '--namespace', namespace, 'tasks', 'ls');
        const info = await host.run('ctr', '--namespace', namespace, 'containers', 'info', id);
        const place = await host.placeOf(new RegExp(`^${id}\\s+(\\d+)`, 'm').exec(tasks)?.[1] ?? '');
        const expected = {
          'container.name': undefined,
          ...imageAttributes(IMAGE),
          'container.runtime.name': 'containerd',
          'container.runtime.version': version,
          'fdspan.oci.runtime': 'runc',
        };
        containers.push({ marker: name, id, ...place, expected, labels: JSON.parse(info).Labels });
      }
      return containers;
    },
  };
}
