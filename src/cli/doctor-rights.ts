// What this process may do, and what it would cost to lack a right: capabilities, the limits of bpf(2), security modules, a
// seccomp filter, the pump's precedence.
import { readFile } from 'node:fs/promises';
import { ok, problem, warning, type Check, type DoctorHost } from './doctor-check.ts';

/** Numbers of linux/capability.h. */
const CAPABILITIES = {
  CAP_DAC_OVERRIDE: 1n,
  CAP_DAC_READ_SEARCH: 2n,
  CAP_SYS_ADMIN: 21n,
  CAP_SYS_NICE: 23n,
  CAP_SYS_RESOURCE: 24n,
  CAP_PERFMON: 38n,
  CAP_BPF: 39n,
} as const;

export type Capability = keyof typeof CAPABILITIES;

interface Need {
  readonly capability: Capability;
  readonly cost: string;
  /** Of a root that has not this capability: the runtimes' own files and sockets are root's. */
  readonly costForRoot?: string;
}

/** Those of the unit; without the first two there is no start. */
const NEEDS: readonly Need[] = [
  { capability: 'CAP_BPF', cost: 'maps and programs can’t be made: fdspan doesn’t start' },
  {
    capability: 'CAP_PERFMON',
    cost: 'programs can’t be attached to tracepoints or read kernel memory: fdspan doesn’t start',
  },
  {
    capability: 'CAP_DAC_READ_SEARCH',
    cost: 'names and labels are missing that only root’s state files of runtimes tell; a configuration that only root may read is refused',
    costForRoot: 'state files of users’ own runtimes aren’t read',
  },
  {
    capability: 'CAP_DAC_OVERRIDE',
    cost: 'runtimes’ sockets can’t be asked: names, images and labels are missing that only they tell',
    costForRoot: 'sockets of users’ own runtimes aren’t asked',
  },
];

const CURE =
  'Run as root, or with the capability: AmbientCapabilities= of the unit, setpriv --ambient-caps, --cap-add of a container.';

async function readText(host: DoctorHost, path: string): Promise<string | null> {
  try {
    return await readFile(host.root + path, 'utf8');
  } catch {
    return null;
  }
}

/** Reads CapEff from the text of /proc/self/status; null where it isn't. */
export function effectiveCapabilities(status: string): bigint | null {
  const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  return hex === undefined ? null : BigInt(`0x${hex}`);
}

export function hasCapability(effective: bigint, capability: Capability): boolean {
  return ((effective >> CAPABILITIES[capability]) & 1n) === 1n;
}

/** Tells which capabilities there are, and of each that is missing what it costs. CAP_SYS_ADMIN stands for the first two. */
export async function checkCapabilities(host: DoctorHost): Promise<Check[]> {
  const name = 'capabilities';
  const status = (await readText(host, '/proc/self/status')) ?? '';
  const effective = effectiveCapabilities(status);
  if (effective === null) return [warning(name, 'CapEff could not be read', CURE)];
  const isAdmin = hasCapability(effective, 'CAP_SYS_ADMIN');
  const isRoot = /^Uid:\s+\d+\s+0\s/m.test(status);
  const needed = NEEDS.map(({ capability }) => capability);
  const held = needed.filter((capability) => hasCapability(effective, capability));
  const others = countBits(effective) - held.length;
  const isStarting = (capability: Capability): boolean =>
    capability === 'CAP_BPF' || capability === 'CAP_PERFMON';
  const admin = isAdmin ? ['CAP_SYS_ADMIN, which stands for CAP_BPF and CAP_PERFMON'] : [];
  const shown = [...held, ...(held.some(isStarting) ? [] : admin)];
  const rest = others === 0 ? '' : `; ${others} more that fdspan doesn’t need`;
  const missing = NEEDS.filter(
    ({ capability }) => !hasCapability(effective, capability) && !(isAdmin && isStarting(capability)),
  );
  return [
    ok(name, `${shown.length === 0 ? 'none of those that fdspan needs' : shown.join(', ')}${rest}`),
    ...missing.map((need) => checkOf(need, isRoot, isStarting(need.capability))),
  ];
}

function checkOf({ capability, cost, costForRoot }: Need, isRoot: boolean, isStarting: boolean): Check {
  const detail = (text: string): string => `without ${capability}: ${text}`;
  if (isStarting) return problem('capability', 'permission', detail(cost), CURE);
  if (isRoot && costForRoot !== undefined) return ok('capability', detail(costForRoot));
  return warning('capability', detail(cost), CURE);
}

function countBits(mask: bigint): number {
  return mask.toString(2).replaceAll('0', '').length;
}

const BPF_SYSCTL = '/proc/sys/kernel/unprivileged_bpf_disabled';

/** Tells who may load programs, and which security modules can refuse it to those who may. */
export async function checkBpfPolicy(host: DoctorHost): Promise<Check[]> {
  const setting = (await readText(host, BPF_SYSCTL))?.trim();
  const modules = (await readText(host, '/sys/kernel/security/lsm'))?.trim();
  const words = modules?.split(',') ?? [];
  const can = [
    words.includes('bpf') ? 'a program of bpf may refuse calls' : [],
    words.includes('selinux') ? 'SELinux’s policy must allow bpf to fdspan’s domain' : [],
    words.includes('apparmor')
      ? 'a profile of AppArmor, where fdspan has one, must allow capability bpf and perfmon'
      : [],
  ].flat();
  return [
    ok(
      'bpf(2)',
      setting === undefined
        ? 'kernel.unprivileged_bpf_disabled is not known'
        : `kernel.unprivileged_bpf_disabled is ${setting}: ${setting === '0' ? 'any user may load some programs; fdspan’s need capabilities all the same' : 'only those with CAP_BPF may call it'}`,
    ),
    ok(
      'LSM',
      modules === undefined
        ? 'not known: securityfs is not mounted'
        : `${modules}${can.length === 0 ? '' : `: ${can.join('; ')}`}`,
    ),
  ];
}

/** Tells whether system calls of this process are filtered: a filter may refuse what fdspan needs, by EPERM. */
export async function checkSeccomp(host: DoctorHost): Promise<Check> {
  const name = 'seccomp';
  const status = (await readText(host, '/proc/self/status')) ?? '';
  const mode = /^Seccomp:\s+(\d)$/m.exec(status)?.[1];
  const filters = /^Seccomp_filters:\s+(\d+)$/m.exec(status)?.[1];
  const privileges = /^NoNewPrivs:\s+1$/m.test(status) ? '; no_new_privs is set' : '';
  if (mode === undefined) return ok(name, 'not known: the kernel tells no state');
  if (mode === '0') return ok(name, `no filter${privileges}`);
  if (mode === '1') {
    const cure = 'Run fdspan elsewhere: only read, write and exit are allowed here.';
    return problem(name, 'permission', 'strict mode', cure);
  }
  const count = filters === undefined ? 'a filter' : `${filters} filter${filters === '1' ? '' : 's'}`;
  return ok(
    name,
    `${count}: what it refuses fails with EPERM; deploy/seccomp/fdspan.json lets through what is needed${privileges}`,
  );
}

/** setrlimit(2): the limit is 20 minus the nice value, which is -15 for the pump. */
const NICE_LIMIT = 35;

/** Tells whether the pump goes before others. */
export async function checkPrecedence(host: DoctorHost): Promise<Check> {
  const name = 'precedence';
  const soft = /^Max nice priority\s+(\S+)/m.exec((await readText(host, '/proc/self/limits')) ?? '')?.[1];
  const effective = effectiveCapabilities((await readText(host, '/proc/self/status')) ?? '') ?? 0n;
  if (soft === 'unlimited' || Number(soft) >= NICE_LIMIT || hasCapability(effective, 'CAP_SYS_NICE'))
    return ok(name, 'the pump goes before other processes (nice -15)');
  return ok(
    name,
    `the pump goes like other processes, and the ring fills sooner on a busy host (RLIMIT_NICE ${soft ?? 'not known'}; LimitNICE=-15 in the unit)`,
  );
}
