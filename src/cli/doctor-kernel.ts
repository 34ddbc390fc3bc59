// What the kernel allows: release, BTF, lockdown, memory.
import { open, readFile } from 'node:fs/promises';
import { ok, problem, warning, type Check, type DoctorHost } from './doctor-check.ts';
import { effectiveCapabilities, hasCapability } from './doctor-rights.ts';

/** `5.10.0-8-amd64` as [5, 10]; null for what isn't a release. */
export function versionOf(release: string): readonly [number, number] | null {
  const match = /^(\d+)\.(\d+)/.exec(release);
  return match === null ? null : [Number(match[1]), Number(match[2])];
}

function isBefore(release: string, major: number, minor: number): boolean {
  const version = versionOf(release);
  if (version === null) return false;
  return version[0] < major || (version[0] === major && version[1] < minor);
}

async function readText(host: DoctorHost, path: string): Promise<string | null> {
  try {
    return await readFile(host.root + path, 'utf8');
  } catch {
    return null;
  }
}

const ARCHITECTURES = new Set(['x64', 'arm64']);

/** Tells whether the kernel's release has what the programs need (the ring buffer came with 5.8). */
export function checkKernel(host: DoctorHost): Check {
  const name = 'kernel';
  const detail = `Linux ${host.kernelRelease}, ${host.architecture}`;
  if (!ARCHITECTURES.has(host.architecture)) {
    return problem(name, 'kernel', detail, 'Run fdspan on x86-64 or arm64: it knows no other registers.');
  }
  if (isBefore(host.kernelRelease, 5, 8)) {
    return problem(name, 'kernel', `${detail}: no ring buffer`, 'Upgrade to Linux 5.10 or newer.');
  }
  if (isBefore(host.kernelRelease, 6, 2)) {
    return warning(
      name,
      `${detail}: before 6.2 each open costs some 1.7 times as much`,
      'Upgrade to Linux 6.2 or newer if overhead matters.',
    );
  }
  return ok(name, detail);
}

const BTF_PATH_DEFAULT = '/sys/kernel/btf/vmlinux';
const BTF_MAGIC = 0xeb9f;

/** Tells whether the kernel's types can be read; its size shows a cut file. */
export async function checkBtf(host: DoctorHost, btfPath: string | null): Promise<Check> {
  const name = 'BTF';
  const path = btfPath ?? host.root + BTF_PATH_DEFAULT;
  const cure =
    btfPath === null
      ? 'Boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, or give a BTF file of this kernel.'
      : 'Give the path of a BTF file that was made for this kernel.';
  try {
    const file = await open(path);
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0);
      const isBtf =
        bytesRead === 2 && (buffer.readUInt16LE(0) === BTF_MAGIC || buffer.readUInt16BE(0) === BTF_MAGIC);
      if (!isBtf) return problem(name, 'kernel', `${path}: this is no BTF`, cure);
      return ok(name, `${path}, ${(await file.stat()).size} bytes`);
    } finally {
      await file.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES' || code === 'EPERM') {
      return problem(name, 'permission', `${path}: ${code}`, 'Run as root, or let this user read the file.');
    }
    return problem(name, 'kernel', `${path}: ${code ?? String(error)}`, cure);
  }
}

/** Tells the lockdown state: confidentiality refuses every BPF read of kernel memory. */
export async function checkLockdown(host: DoctorHost): Promise<Check> {
  const name = 'lockdown';
  const text = await readText(host, '/sys/kernel/security/lockdown');
  const state = /\[(\w+)\]/.exec(text ?? '')?.[1];
  if (state === undefined) return ok(name, 'not known: securityfs is not mounted or lockdown not built in');
  if (state === 'confidentiality') {
    return problem(
      name,
      'kernel',
      state,
      'Boot with lockdown=integrity or none: confidentiality forbids reading kernel memory.',
    );
  }
  return ok(name, state);
}

/** Before 5.11, maps count against RLIMIT_MEMLOCK; later kernels charge the memory cgroup. */
export async function checkMemlock(host: DoctorHost, mapBytes: number): Promise<Check> {
  const name = 'locked memory';
  if (!isBefore(host.kernelRelease, 5, 11)) return ok(name, 'not limited for BPF from Linux 5.11 on');
  const soft = /^Max locked memory\s+(\S+)/m.exec((await readText(host, '/proc/self/limits')) ?? '')?.[1];
  if (soft === 'unlimited' || Number(soft) >= mapBytes) return ok(name, `RLIMIT_MEMLOCK ${soft}`);
  const cure = `Set LimitMEMLOCK=infinity in the unit, or run ulimit -l unlimited first.`;
  const effective = effectiveCapabilities((await readText(host, '/proc/self/status')) ?? '');
  if (effective !== null && hasCapability(effective, 'CAP_SYS_RESOURCE'))
    return ok(name, `RLIMIT_MEMLOCK ${soft}, can be raised`);
  return problem(name, 'permission', `RLIMIT_MEMLOCK ${soft ?? 'not known'}, maps need ${mapBytes}`, cure);
}

const BYTES_PER_KIBIBYTE = 1024;
const BYTES_PER_MEBIBYTE = 1 << 20;

/** Tells whether the maps fit with room to spare. */
export async function checkMemory(host: DoctorHost, neededBytes: number): Promise<Check> {
  const name = 'memory';
  const kibibytes = /^MemAvailable:\s+(\d+) kB$/m.exec((await readText(host, '/proc/meminfo')) ?? '')?.[1];
  if (kibibytes === undefined) return ok(name, 'not known: /proc/meminfo has no MemAvailable');
  const availableMib = Math.floor((Number(kibibytes) * BYTES_PER_KIBIBYTE) / BYTES_PER_MEBIBYTE);
  const neededMib = Math.ceil(neededBytes / BYTES_PER_MEBIBYTE);
  const detail = `${availableMib} MiB available, ${neededMib} MiB wanted`;
  if (availableMib >= neededMib) return ok(name, detail);
  return warning(name, detail, 'Lower limits.open_files, limits.ring and export.queue.bytes_max.');
}
