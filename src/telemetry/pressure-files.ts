// Pressure stall information of control groups (Documentation/accounting/psi.rst): reads the files and understands
// their text. A group that is gone, or whose files are switched off, is told as unreadable, never thrown.
import { open } from 'node:fs/promises';
import { join } from 'node:path';

export const PRESSURE_RESOURCES = ['io', 'memory', 'cpu'] as const;
export type PressureResource = (typeof PRESSURE_RESOURCES)[number];

export interface PressureLine {
  readonly resource: PressureResource;
  /** some: at least one task waited; full: all that could run did. */
  readonly kind: 'some' | 'full';
  /** Shares of the last 10, 60 and 300 seconds, 0 to 1. */
  readonly shares: readonly [number, number, number];
  /** Since the group was made; only grows. */
  readonly stalledSeconds: number;
}

export interface GroupPressure {
  readonly lines: readonly PressureLine[];
  /** Files that could not be read or understood. */
  readonly unreadable: number;
}

/** Reason: two lines of at most 80 bytes; what a later kernel may add behind them isn't wanted. */
const FILE_BYTES_MAX = 1024;

const LINE = /^(some|full) avg10=(\d+\.\d+) avg60=(\d+\.\d+) avg300=(\d+\.\d+) total=(\d+)\b/gm;

/** Understands one file's text; lines of another form are left out. */
export function parsePressure(resource: PressureResource, text: string): PressureLine[] {
  return [...text.matchAll(LINE)].map(([, kind, avg10, avg60, avg300, totalUs]) => ({
    resource,
    kind: kind as PressureLine['kind'],
    shares: [Number(avg10) / 100, Number(avg60) / 100, Number(avg300) / 100],
    stalledSeconds: Number(totalUs) / 1e6,
  }));
}

/** Reads the three files of a group; `folder` is a path of bytes (latin1). */
export async function readGroupPressure(folder: string): Promise<GroupPressure> {
  const lines: PressureLine[] = [];
  let unreadable = 0;
  for (const resource of PRESSURE_RESOURCES) {
    try {
      const found = parsePressure(resource, await readBounded(join(folder, `${resource}.pressure`)));
      if (found.length === 0) unreadable += 1;
      lines.push(...found);
    } catch {
      unreadable += 1;
    }
  }
  return { lines, unreadable };
}

/** Returns why this kernel tells no pressure, or null when it does. `folder` is /proc/pressure. */
export async function whyNoPressure(folder: string): Promise<string | null> {
  try {
    const path = join(folder, 'io');
    return parsePressure('io', await readBounded(path)).length > 0 ? null : `${path} is of an unknown form`;
  } catch (error) {
    return (error as Error).message;
  }
}

async function readBounded(path: string): Promise<string> {
  const file = await open(Buffer.from(path, 'latin1'));
  try {
    const buffer = Buffer.alloc(FILE_BYTES_MAX);
    const { bytesRead } = await file.read(buffer);
    return buffer.toString('latin1', 0, bytesRead);
  } finally {
    await file.close();
  }
}
