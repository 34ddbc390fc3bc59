// A container that boots a systemd: its services are its own, and a container that runs in it names it as its parent.
// fdspan runs on the machine around it.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { whyNoPrograms } from '../helpers/busybox-image.ts';
import { startCollector, whyNoKernelTests } from '../helpers/collector-process.ts';
import { startReceiver } from '../helpers/otlp-receiver.ts';
import { startSystemd, whyNoSystemd } from '../helpers/systemd-host.ts';
import { OPENS, untilDone } from './matrix/cell.ts';
import { onlyAsk } from './matrix/names.ts';
import { CellHost } from './matrix/systemd/host.ts';
import { podman } from './matrix/systemd/podman.ts';
import { checkFiles, namespacesOf } from './nested-spans.ts';

for (const mode of ['hybrid', 'unified'] as const) {
  test(
    `podman in a booted systemd-nspawn, ${mode}: containers in it have it as their parent, services are its own`,
    { skip: whyNoKernelTests() ?? whyNoSystemd(mode) ?? whyNoPrograms('podman', 'runc') ?? false },
    async (t) => {
      const mark = randomBytes(6).toString('hex');
      const machine = `outer${mark}`;
      // As systemd's machine manager names it.
      const groupPath = `/fdspantest${mark}.slice/machine-${machine}.scope`;
      const systemd = await startSystemd({ mode, groupPath });
      t.after(() => systemd.stop());
      const host = new CellHost(systemd);
      await host.makeGroupsWritable();
      const containers = await podman('runc', 'cgroupfs').start(host);
      const receiver = await startReceiver({ protocol: 'grpc' });
      t.after(() => receiver.close());
      const collector = await startCollector({
        endpoint: receiver.endpoint,
        containerIds: [],
        set: {
          'containers.runtimes': JSON.stringify(onlyAsk({})),
          'files.include': JSON.stringify([
            ...containers.map(({ marker }) => `/tmp/${marker}-*`),
            `/tmp/${mark}-*`,
          ]),
          'scope.adopt_open': 'false',
        },
      });
      t.after(() => collector.kill());

      const opens = `i=0; while [ $i -lt ${OPENS} ]; do echo hi > /tmp/${mark}-$i; i=$((i+1)); done`;
      await host.run('systemd-run', '--quiet', '--wait', '--collect', 'sh', '-c', opens);
      for (const { processFolder } of containers) await writeFile(`${processFolder}/root/go`, '');
      for (const container of containers) await untilDone(container);
      const outer = await namespacesOf(`/proc/${systemd.pid}`);
      const inner = await Promise.all(containers.map(({ processFolder }) => namespacesOf(processFolder)));
      await collector.stop();

      checkFiles(receiver, mark, {
        ...outer,
        'container.id': machine,
        'container.runtime.name': 'systemd-nspawn',
        'fdspan.container.parent.id': undefined,
      });
      containers.forEach(({ marker, id, group }, index) =>
        checkFiles(receiver, marker, {
          ...inner[index],
          'container.id': id,
          'container.runtime.name': 'podman',
          'fdspan.container.parent.id': machine,
          'fdspan.cgroup.version': 'v2',
          'fdspan.cgroup.path': `${groupPath}/payload${group['fdspan.cgroup.path']}`,
        }),
      );
      assert.equal(receiver.spans.length, 3 * OPENS, 'nothing else');
    },
  );
}
