// Whether the host's times can be relied on: the wall clock of spans, the clock that the programs read at each open and close,
// and the number of this boot, by which a state file is known.
import koffi from 'koffi';
import { readFile } from 'node:fs/promises';
import { ok, warning, type Check, type DoctorHost } from './doctor-check.ts';

/** Before it no fdspan was built: a clock that shows less was never set. */
const FIRST_YEAR = 2026;
/** Read by a device access of a microsecond or more, which every open and close pays twice. */
const SLOW_SOURCES = new Set(['hpet', 'acpi_pm', 'refined-jiffies', 'jiffies', 'pit']);
const SOURCE = '/sys/devices/system/clocksource/clocksource0/current_clocksource';
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** struct timex of 64-bit kernels: room for it, and where `status` is. */
const TIMEX_BYTES = 208;
const TIMEX_STATUS = 40;
/** STA_UNSYNC of linux/timex.h. */
const UNSYNCHRONIZED = 0x40;

async function readLine(host: DoctorHost, path: string): Promise<string | null> {
  return readFile(host.root + path, 'utf8').then(
    (text) => text.trim(),
    () => null,
  );
}

/** Asks the kernel, changing nothing, whether something keeps the wall clock right; null where it can't be asked. */
export function isClockSynchronized(): boolean | null {
  const state = Buffer.alloc(TIMEX_BYTES);
  const adjtimex = koffi.load(null).func('int adjtimex(void *state)');
  const result = adjtimex(state) as number;
  return result < 0 ? null : (state.readInt32LE(TIMEX_STATUS) & UNSYNCHRONIZED) === 0;
}

/** @param isSynchronized what {@link isClockSynchronized} told. */
export async function checkClocks(
  host: DoctorHost,
  nowUnixMs: number,
  isSynchronized: boolean | null,
): Promise<Check[]> {
  return [wallClock(nowUnixMs, isSynchronized), await kernelClock(host), await bootId(host)];
}

function wallClock(nowUnixMs: number, isSynchronized: boolean | null): Check {
  const name = 'wall clock';
  const shown = new Date(nowUnixMs).toISOString();
  const cure = 'Set it, and run a time service (systemd-timesyncd, chrony): spans are found by their times.';
  if (new Date(nowUnixMs).getUTCFullYear() < FIRST_YEAR)
    return warning(name, `${shown}: it was never set, and spans would be filed under that time`, cure);
  if (isSynchronized === null) return ok(name, shown);
  // No warning: a virtual machine's may be kept right from outside.
  const state = isSynchronized ? 'synchronized' : 'no time service of this host keeps it right';
  return ok(name, `${shown}, ${state}`);
}

async function kernelClock(host: DoctorHost): Promise<Check> {
  const name = 'clock source';
  const source = await readLine(host, SOURCE);
  if (source === null) return ok(name, 'not known');
  if (!SLOW_SOURCES.has(source)) return ok(name, source);
  const cure =
    'Find out why the kernel doesn’t trust a better one (dmesg): tsc, kvm-clock or hyperv_clocksource are read in nanoseconds.';
  return warning(name, `${source}: each open and close pays a slow read of it`, cure);
}

async function bootId(host: DoctorHost): Promise<Check> {
  const name = 'boot id';
  const id = await readLine(host, '/proc/sys/kernel/random/boot_id');
  if (id !== null && UUID.test(id)) return ok(name, id);
  const cure = 'Mount /proc as it is; without, set control.state_file to null.';
  return warning(name, 'can’t be read: since when files are open isn’t known over a restart of fdspan', cure);
}
