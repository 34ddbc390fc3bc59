// Kubernetes pods as the kubelet makes them, on a real containerd by its container runtime interface.
import { randomBytes, randomUUID } from 'node:crypto';
import { whyNoKernelTests } from '../../helpers/collector-process.ts';
import { CONTAINERD_IMAGE, startContainerd, whyNoContainerd } from '../../helpers/containerd.ts';
import { script, type Cell, type CellContainer } from './cell.ts';
import { placeOf, runHere } from './machine.ts';
import { imageAttributes, onlyAsk } from './names.ts';

/** One pod of a deployment and one of a job, named and labelled as their controllers do. */
const PODS = [
  {
    name: 'shop-5c689d88bb-x7k2p',
    labels: { app: 'shop', 'pod-template-hash': '5c689d88bb' },
    workload: { 'service.name': 'shop', 'k8s.deployment.name': 'shop' },
  },
  {
    name: 'nightly-4x9zb',
    labels: { 'job-name': 'nightly' },
    workload: { 'service.name': 'nightly', 'k8s.job.name': 'nightly' },
  },
];

function pods(source: 'cri' | 'containerd', runtimeHandler: 'runc' | 'crun'): Cell {
  const told = source === 'cri' ? 'asked by CRI' : 'asked by its own API';
  return {
    runtime: `Kubernetes pods, containerd, ${runtimeHandler}, ${told}`,
    groups: 'cgroupfs',
    host: 'this machine',
    isQuick: false,
    whyNot: () => whyNoKernelTests() ?? whyNoContainerd(runtimeHandler),
    async start(t) {
      const daemon = await startContainerd();
      t.after(() => daemon.stop());
      const namespace = `fdspan-${randomBytes(4).toString('hex')}`;
      const containers: CellContainer[] = [];
      for (const { name, labels, workload } of PODS) {
        const uid = randomUUID();
        const pod = await daemon.pods.runPod({ name, namespace, uid, labels, runtimeHandler });
        const marker = `${namespace}-${name}`;
        const id = await pod.startContainer({ name: 'web', script: script(marker), attempt: 2 });
        const tasks = await daemon.ctr('k8s.io', 'tasks', 'ls');
        const pid = Number(new RegExp(`^${id}\\s+(\\d+)`, 'm').exec(tasks)?.[1]);
        const identity = {
          'io.kubernetes.pod.name': name,
          'io.kubernetes.pod.namespace': namespace,
          'io.kubernetes.pod.uid': uid,
        };
        const expected = {
          ...workload,
          'service.namespace': namespace,
          'k8s.namespace.name': namespace,
          'k8s.pod.name': name,
          'k8s.pod.uid': uid,
          'k8s.container.name': 'web',
          'k8s.container.restart_count': 2,
          'container.name': 'web',
          ...imageAttributes(CONTAINERD_IMAGE),
          'container.runtime.name': 'containerd',
          'container.runtime.version': daemon.version,
          'fdspan.oci.runtime': runtimeHandler,
        };
        containers.push({
          marker,
          id,
          ...(await placeOf(pid)),
          expected,
          labels: {
            ...labels,
            ...identity,
            'io.kubernetes.container.name': 'web',
            // What containerd adds is shown by its own API only.
            ...(source === 'cri' ? {} : { 'io.cri-containerd.kind': 'container' }),
          },
        });
      }
      return { containers, runtimes: onlyAsk({ [source]: daemon.socket }), startCollector: runHere() };
    },
  };
}

export const POD_CELLS: readonly Cell[] = [pods('cri', 'runc'), pods('containerd', 'crun')];
