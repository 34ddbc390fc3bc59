// The cells of runc and crun alone on a host with a booted systemd.
import { makeBundle } from '../../../helpers/bare-container.ts';
import { script, type CellContainer } from '../cell.ts';
import { labelsOf, twoNames } from '../names.ts';
import { dropDeviceRules, hideControllers, SHARED_GROUPS } from './crun.ts';
import { FOLDER, type GroupDriver, type Part } from './host.ts';

export function bare(runtime: 'runc' | 'crun', groups: GroupDriver): Part {
  return {
    runtime: `${runtime} alone`,
    groups,
    commands: [runtime],
    ...(runtime === 'crun' && groups === 'systemd' ? { limit: SHARED_GROUPS } : {}),
    start: async (host) => {
      if (runtime === 'crun') await hideControllers(host);
      const containers: CellContainer[] = [];
      for (const id of twoNames()) {
        const labels = labelsOf(id);
        const options = { runtime, id, script: script(id), annotations: labels };
        // Empty: the runtime's own choice, as for whoever gives none. crun's is no group of the container's own then.
        const path = runtime === 'crun' && groups === 'cgroupfs' ? `/${id}` : '';
        const folder = await host.folder(id);
        await makeBundle(folder, options, path);
        if (runtime === 'crun') await dropDeviceRules(`${folder}/config.json`);
        const bundle = `${FOLDER}/${id}`;
        const driver = groups === 'systemd' ? ['--systemd-cgroup'] : [];
        const command = [
          runtime,
          ...driver,
          'run',
          '--detach',
          '--bundle',
          bundle,
          '--pid-file',
          `${bundle}/pid`,
          id,
        ];
        await host.runDetaching(`${bundle}/log`, ...command);
        const place = await host.placeOf(await host.run('cat', `${bundle}/pid`));
        const expected = {
          'service.name': id,
          'container.name': id,
          'container.image.name': undefined,
          'container.runtime.name': runtime,
          'container.runtime.version': undefined,
          'fdspan.oci.runtime': runtime,
        };
        containers.push({ marker: id, id, ...place, expected, labels });
      }
      return containers;
    },
  };
}
