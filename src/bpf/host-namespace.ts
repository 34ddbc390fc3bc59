// The namespaces of the host, which the programs compare those of tasks with.
import { stat } from 'node:fs/promises';
import * as layout from '../model/record-layout.ts';
import { BpfError, BpfObject } from './bpf-object.ts';

export interface HostNamespaceNumbers {
  readonly mnt: number;
  readonly pid: number;
}

const PROGRAM = 'find_host';
const FILE = new URL('../../bpf/build/host.bpf.o', import.meta.url).pathname;

/**
 * Returns the inodes of process 1's namespaces. The kernel is asked where /proc doesn't tell without CAP_SYS_PTRACE; where it
 * can't be asked, the tracer can't be loaded either, and our own are the next best.
 */
export async function findHostNamespaces(btfPath: string | null): Promise<HostNamespaceNumbers> {
  return (
    (await readNamespaces('/proc/1/ns').catch(() => null)) ??
    askKernel(btfPath) ??
    (await readNamespaces('/proc/self/ns'))
  );
}

async function readNamespaces(folder: string): Promise<HostNamespaceNumbers> {
  const [mnt, pid] = await Promise.all(['mnt', 'pid'].map((type) => stat(`${folder}/${type}`)));
  return { mnt: mnt.ino, pid: pid.ino };
}

/** Runs a program of the kernel that looks at process 1; null where that can't be done. */
export function askKernel(btfPath: string | null): HostNamespaceNumbers | null {
  let object: BpfObject | null = null;
  try {
    object = new BpfObject(FILE, btfPath);
    object.load([PROGRAM]);
    const found = Buffer.alloc(layout.HOST_NAMESPACES_BYTES);
    object.run(PROGRAM, found);
    const mnt = found.readUInt32LE(layout.HOST_NAMESPACES_MNT);
    const pid = found.readUInt32LE(layout.HOST_NAMESPACES_PID);
    return mnt === 0 || pid === 0 ? null : { mnt, pid };
  } catch (error) {
    if (error instanceof BpfError) return null;
    throw error;
  } finally {
    object?.close();
  }
}
