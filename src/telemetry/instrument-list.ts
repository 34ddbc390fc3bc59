// Every counter and amount that fdspan tells of itself: its name in the summary, the metric's name, unit and meaning.

export interface Instrument {
  /** In a snapshot. */
  readonly counter: string;
  /** Of the metric. */
  readonly name: string;
  readonly unit: string;
  readonly description: string;
}

/** Only grow. What is dropped is told by `fdspan.drops`. */
export const COUNTERS: readonly Instrument[] = [
  counter('opens_in_scope', '{open}', 'Opens by tasks in a traced scope'),
  counter('opens_tracked', '{open}', 'Opens that the pending table took'),
  counter('pairs_finished', '{pair}', 'Opens whose end was seen'),
  counter('pairs_lost', '{pair}', 'Pairs whose close was missed'),
  counter('records_read', '{record}', 'Records read from the ring'),
  counter('spans_encoded', '{span}', 'Spans encoded'),
  counter('bytes_encoded', 'By', 'Request bytes encoded, before compression'),
  counter('bytes_sent', 'By', 'Request bytes sent'),
  counter('requests_sent', '{request}', 'Requests sent'),
  counter('requests_retried', '{request}', 'Requests sent again'),
  counter('opens_failed', '{open}', 'Opens that failed and whose errno makes a span'),
  counter('paths_shortened', '{path}', 'Paths that were too long and lost their head'),
  counter('records_sent', '{record}', 'Records that the kernel put into the ring'),
  counter('recursion_misses', '{call}', 'Calls that the programs missed, as they were running already'),
  counter('slice_records_lost', '{record}', 'Records about slices that the ring had no place for'),
  counter(
    'slice_records_overflow',
    '{record}',
    'Records about slices of unjudged containers that found no place',
  ),
  counter('requests_sealed', '{request}', 'Requests that the pump has finished'),
  counter('drains', '{drain}', 'Times that the pump has read the ring'),
  counter('pump_stalls', '{turn}', 'Turns in which the pump had no free buffer, and read nothing'),
  counter('traces_evicted', '{trace}', 'Traces whose root was sent before its time'),
  counter('traces_begun', '{trace}', 'Traces that a span was put into'),
  counter('process_spans_encoded', '{span}', 'Roots of traces encoded'),
  counter('process_spans_accepted', '{span}', 'Roots of traces that the backend took'),
  counter('process_spans_dropped', '{span}', 'Roots of traces that were dropped, whatever for'),
  counter('held_spans_sent', '{span}', 'Reports of open files that the kernel made'),
  counter('held_ring_full', '{span}', 'Reports of open files that the ring had no place for'),
  counter('held_spans_read', '{span}', 'Reports of open files read from the ring'),
  counter('held_spans_encoded', '{span}', 'Reports of open files encoded'),
  counter('held_spans_filtered', '{span}', 'Reports of open files of containers that are not traced'),
  counter('held_spans_accepted', '{span}', 'Reports of open files that the backend took'),
  counter('held_spans_dropped', '{span}', 'Reports of open files that were dropped, whatever for'),
  counter('open_times_restored', '{file}', 'Open files whose time of opening an earlier fdspan knew'),
  counter('open_times_left_out', '{file}', 'Open files that the state file had no place for'),
  counter('spool_recovered', '{span}', 'Spans of an earlier fdspan found in the spool'),
  counter('process_spans_recovered', '{span}', 'Roots of traces of an earlier fdspan found in the spool'),
  counter('held_spans_recovered', '{span}', 'Reports of open files of an earlier fdspan found in the spool'),
  counter('scrape_connections_refused', '{connection}', 'Connections to the metrics port over its limit'),
  counter('unseen_io_uring', '{open}', 'Opens by io_uring, which this attach mode cannot pair'),
  counter('unseen_compat', '{open}', 'Opens by 32-bit calls, which cannot be paired'),
  counter('unseen_race', '{open}', 'Opens lost to a race'),
  counter('containers_full', '{container}', 'Containers that were not traced: no place for another one'),
  counter('scopes_full', '{group}', 'Control groups that were not traced: no place for another one'),
  counter('scope_table_full', '{group}', "Control groups that the kernel's policy table had no place for"),
  counter(
    'scope_records_lost',
    '{record}',
    'Records about control groups that found no place: in the ring, or before the main thread',
  ),
  counter('runtime_lookups_failed', '{lookup}', 'Questions to container runtimes that failed'),
  counter(
    'runtime_lookups_held',
    '{lookup}',
    "Look-ups that waited because their user's groups had enough places",
  ),
  counter(
    'runtime_user_reads_refused',
    '{read}',
    "Answers and state files of users' container runtimes that were too large or too many to be read",
  ),
  counter(
    'runtime_users_left_out',
    '{user}',
    'Users whose container runtimes were not looked for: the most at once',
  ),
  counter('runtime_events_skipped', '{event}', 'Events of container runtimes that could not be used'),
  counter('metrics_missed', '{event}', 'Opens and ends that no container was counted for'),
  counter('metrics_containers_lost', '{container}', 'Containers whose last metrics found no place'),
  counter('container_metrics_sent', '{resource}', 'Containers whose metrics were sent, each turn'),
  counter('container_metrics_requests_failed', '{request}', "Requests with containers' metrics that failed"),
  counter('pressure_resources_sent', '{resource}', 'Containers whose pressure was sent, each turn'),
  counter('pressure_files_unreadable', '{file}', 'Pressure files that could not be read'),
  counter('pressure_requests_failed', '{request}', 'Requests with pressure that failed'),
];

/** Amounts of this moment. */
export const GAUGES: readonly Instrument[] = [
  gauge('still_open', 'still_open', '{open}', 'Tracked opens that have not ended'),
  gauge('waiting', 'waiting', '{record}', 'Records that wait for their container'),
  gauge('queue_bytes', 'queue.size', 'By', 'Bytes of the requests that wait for the backend'),
  gauge('ring_fill_bytes', 'ring.fill', 'By', 'Bytes in the ring at the last drain'),
  gauge('ring_unread', 'ring.unread', '{record}', 'Records that the ring holds now'),
  gauge('ring_bytes', 'ring.size', 'By', 'Bytes that the ring can hold'),
  gauge('queue_bytes_max', 'queue.limit', 'By', 'Bytes that may wait for the backend'),
  gauge('spooled', 'spooled', '{span}', 'Spans that wait on disk'),
  gauge('process_spans_spooled', 'process_spans_spooled', '{span}', 'Roots of traces that wait on disk'),
  gauge('held_spans_spooled', 'held_spans_spooled', '{span}', 'Reports of open files that wait on disk'),
  gauge('spool_bytes', 'spool.size', 'By', 'Bytes of the spool on disk, where there is one'),
  gauge('spool_bytes_max', 'spool.limit', 'By', 'Bytes that the spool may have, where there is a limit'),
  gauge('live_traces', 'traces.live', '{trace}', 'Traces whose root is not sent yet'),
  gauge('probe_attached', 'probe.attached', '1', 'Whether the programs see an open and a close now: 1 or 0'),
  gauge('containers', 'containers', '{container}', 'Containers that are traced'),
  {
    counter: 'memory_bytes',
    name: 'process.memory.usage',
    unit: 'By',
    description: 'Resident memory of fdspan, with its ring',
  },
];

/** Describes a counter that has the name of the summary. */
export function counter(name: string, unit: string, description: string): Instrument {
  return { counter: name, name: `fdspan.${name}`, unit, description };
}

function gauge(name: string, metric: string, unit: string, description: string): Instrument {
  return { counter: name, name: `fdspan.${metric}`, unit, description };
}
