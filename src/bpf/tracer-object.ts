// The programs and maps of the tracer before they are loaded: which programs this kernel gets, sizes and settings.
import * as layout from '../model/record-layout.ts';
import { BpfObject } from './bpf-object.ts';
import { prepareMetrics } from './container-counts.ts';
import { chooseHooks, GROUP_HOOKS, openKernelBtf, OPTIONAL_HOOKS } from './kernel-hooks.ts';
import { libbpf } from './libbpf.ts';
import { chooseReads, objectFile, type Reads } from './object-file.ts';
import { OPEN_FILES_PROGRAMS } from './open-files.ts';
import { SamplingMaps } from './sampling-maps.ts';
import { encodeSettings, sliceSetsOf, SLICE_WAYS, startEntriesOf, type TracerOptions } from './settings.ts';

export const NAMESPACE_ITERATOR = 'list_namespaces';
const UNHOOKED = [
  'adopt_files',
  'mark_files',
  'describe_tasks',
  'judge_scope',
  'sweep_pending',
  'count_open_files',
  'close_early',
  'expire_slices',
  'self_test',
  'know_self',
  ...OPEN_FILES_PROGRAMS,
];

/** An object with its sizes and settings, not loaded yet. */
export interface TracerObject {
  readonly object: BpfObject;
  readonly programs: readonly string[];
  readonly hooks: readonly string[];
  readonly groupHooks: readonly string[];
  readonly buckets: number;
  readonly reads: Reads;
  /** Of each slot's metrics. */
  readonly stripes: number;
}

/** Throws KernelUnfitError or BpfError. */
export function openTracerObject(options: TracerOptions): TracerObject {
  const kernel = openKernelBtf(options.btfPath);
  const isByGroups = options.scopeBy === 'cgroup';
  const hasGroups = options.byCgroup2 || options.cgroup1Controller !== null;
  const groupHooks = hasGroups ? GROUP_HOOKS : [];
  const buckets = powerOfTwo(Math.ceil(options.openFilesMax / layout.BUCKET_TAGS));
  const startEntries = startEntriesOf(options.pidMax);
  const cpuCount = libbpf().numPossibleCpus() as number;
  let object: BpfObject | null = null;
  try {
    const hooks = chooseHooks(kernel, groupHooks);
    const reads = chooseReads(options.reads, kernel);
    object = new BpfObject(objectFile(reads), options.btfPath);
    const unused = [...(isByGroups ? [NAMESPACE_ITERATOR] : []), ...(hasGroups ? [] : GROUP_HOOKS)];
    for (const program of [...OPTIONAL_HOOKS.filter((hook) => !hooks.includes(hook)), ...unused]) {
      object.setAutoload(program, false);
    }
    object.setMaxEntries('ring', options.ringBytes);
    object.setMaxEntries('buckets', buckets);
    object.setMaxEntries('slots', buckets * layout.BUCKET_TAGS);
    object.setMaxEntries('starts', startEntries);
    SamplingMaps.setSizes(object, options.containersMax + 1);
    object.setMaxEntries('slices', sliceSetsOf(options.pidMax) * SLICE_WAYS);
    const settings = encodeSettings(options, kernel, buckets, startEntries, cpuCount);
    object.setInitialValue('.rodata.settings', settings);
    object.setInitialValue('.rodata.io_totals', Uint32Array.of(options.hasIoTotals ? 1 : 0));
    const stripes = prepareMetrics(object, options.metrics, cpuCount);
    const programs = [...hooks, ...groupHooks, ...UNHOOKED, ...(isByGroups ? [] : [NAMESPACE_ITERATOR])];
    return { object, programs, hooks, groupHooks, buckets, reads, stripes };
  } catch (error) {
    object?.close();
    throw error;
  } finally {
    kernel.close();
  }
}

function powerOfTwo(least: number): number {
  let value = 1;
  while (value < least) value *= 2;
  return value;
}
