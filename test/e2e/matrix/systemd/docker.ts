// Docker's cells on a host with a booted systemd.
import { makeImageArchive } from '../../../helpers/busybox-image.ts';
import { script, type CellContainer } from '../cell.ts';
import { imageAttributes, labelArguments, labelsOf, twoNames } from '../names.ts';
import { FOLDER, IMAGE, type GroupDriver, type Part } from './host.ts';

export function docker(groups: GroupDriver): Part {
  return {
    runtime: 'docker',
    groups,
    commands: ['dockerd', 'docker'],
    start: async (host) => {
      await host.mountEmpty('/var/lib/docker');
      const argv = ['dockerd', '--exec-opt', `native.cgroupdriver=${groups}`, '--storage-driver=overlay2'];
      argv.push('--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-forward=false');
      await host.startService('fdspan-dockerd', argv, ['docker', 'version']);
      await makeImageArchive(await host.folder('image'));
      await host.run('docker', 'import', `${FOLDER}/image/image.tar`, IMAGE);
      const version = await host.run('docker', 'version', '--format', '{{.Server.Version}}');
      const containers: CellContainer[] = [];
      for (const name of twoNames()) {
        const labels = labelsOf(name);
        const options = ['--detach', '--name', name, '--network', 'none', ...labelArguments(labels)];
        const id = await host.run('docker', 'run', ...options, IMAGE, '/bin/sh', '-c', script(name));
        const place = await host.placeOf(
          await host.run('docker', 'inspect', '--format', '{{.State.Pid}}', id),
        );
        const expected = {
          'service.name': name,
          'container.name': name,
          ...imageAttributes(IMAGE),
          'container.runtime.name': 'docker',
          'container.runtime.version': version,
          'fdspan.oci.runtime': 'runc',
        };
        containers.push({ marker: name, id, ...place, expected, labels });
      }
      return containers;
    },
  };
}
