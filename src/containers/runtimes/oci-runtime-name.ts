// The OCI runtime below a manager, by the ways in which managers name it: its binary, or containerd's shim for it.
import { nameOf } from './fields.ts';

/** By name (`io.containerd.runc.v2`), or as the path of its binary (`…/containerd-shim-runc-v2`). */
const SHIM = /^io\.containerd\.([A-Za-z0-9_-]+)\.v\d+$|(?:^|\/)containerd-shim-([A-Za-z0-9_-]+)-v\d+$/;

/** Returns the binary's name: `crun` of `/usr/bin/crun` or `crun`. */
export function ociRuntimeOfBinary(path: unknown): string | undefined {
  const name = nameOf(path);
  return nameOf(name?.slice(name.lastIndexOf('/') + 1));
}

/** Returns the runtime of containerd's shim; undefined for another name. */
export function ociRuntimeOfShim(shim: unknown): string | undefined {
  const match = SHIM.exec(nameOf(shim) ?? '');
  return match?.[1] ?? match?.[2];
}
