// Podman's cells on a host with a booted systemd.
import { mkdir, writeFile } from 'node:fs/promises';
import { makeImageArchive } from '../../../helpers/busybox-image.ts';
import { script, type CellContainer } from '../cell.ts';
import { imageAttributes, labelArguments, labelsOf, twoNames } from '../names.ts';
import { CRUN_REFUSAL, hideControllers, SHARED_GROUPS } from './crun.ts';
import { FOLDER, IMAGE, type GroupDriver, type Part } from './host.ts';

export function podman(runtime: 'runc' | 'crun', groups: GroupDriver): Part {
  return {
    runtime: `podman, ${runtime}`,
    groups,
    commands: ['podman', runtime],
    ...(runtime === 'crun' ? CRUN_REFUSAL : {}),
    ...(runtime === 'crun' && groups === 'systemd' ? { limit: SHARED_GROUPS } : {}),
    start: async (host) => {
      if (runtime === 'crun') await hideControllers(host);
      await host.mountEmpty('/var/lib/containers');
      const conf = `[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
default_sysctls = []
[engine]
cgroup_manager = "${groups}"
events_logger = "file"
runtime = "${runtime}"
`;
      await mkdir(`${host.root}/etc/containers`, { recursive: true });
      await writeFile(`${host.root}/etc/containers/containers.conf`, conf);
      const socket = '/run/podman/podman.sock';
      await host.run('mkdir', '-p', '/run/podman');
      const argv = ['podman', 'system', 'service', '--time', '0', `unix://${socket}`];
      await host.startService('fdspan-podman', argv, ['test', '-S', socket]);
      await makeImageArchive(await host.folder('image'));
      await host.run('podman', 'import', '--quiet', `${FOLDER}/image/image.tar`, IMAGE);
      const version = await host.run('podman', 'version', '--format', '{{.Client.Version}}');
      const containers: CellContainer[] = [];
      for (const name of twoNames()) {
        const labels = labelsOf(name);
        const options = [
          '--name',
          name,
          '--network',
          'none',
          '--pids-limit',
          '-1',
          ...labelArguments(labels),
        ];
        const id = await host.run('podman', 'create', ...options, IMAGE, '/bin/sh', '-c', script(name));
        await host.runDetaching(`${FOLDER}/${name}.log`, 'podman', 'start', id);
        // A service that has just begun takes longer for its first answer than fdspan waits.
        await host.run('podman', '--url', `unix://${socket}`, 'inspect', id);
        const place = await host.placeOf(
          await host.run('podman', 'inspect', '--format', '{{.State.Pid}}', id),
        );
        const expected = {
          'service.name': name,
          'container.name': name,
          ...imageAttributes(IMAGE),
          'container.runtime.name': 'podman',
          'container.runtime.version': version,
          'fdspan.oci.runtime': runtime,
        };
        containers.push({ marker: name, id, ...place, expected, labels });
      }
      return containers;
    },
  };
}
