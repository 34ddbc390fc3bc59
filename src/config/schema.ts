// Every key of the configuration: what it means, its default, and how its value is written. The order is
// that of config/default.yaml. What the code gets is in config.ts.
import * as format from './formats.ts';
import { EXCLUDED, FAILED, FILE_SYSTEMS } from './default-lists.ts';
import { FILE_SYSTEM_NAMES } from './file-systems.ts';
import type { Key } from './key.ts';
import { LIMIT_KEYS } from './limit-keys.ts';
import { SAMPLING_KEYS } from './sampling-keys.ts';

/** Reason: a longer wait is a mistake, and setTimeout itself ends at 24 days. */
const HOUR_MS = 3_600_000;
const SECOND_MS = 1000;

/** By dotted path. */
export const KEYS: Readonly<Record<string, Key>> = {
  attach: {
    doc: 'How to attach: auto or tracepoint (fentry is not built yet).',
    default: 'auto',
    format: format.oneOfBuilt(['auto', 'tracepoint'], ['fentry']),
  },
  'kernel.btf': {
    doc: 'BTF file to use instead of /sys/kernel/btf/vmlinux.',
    default: null,
    format: format.textOrNull,
  },
  'kernel.reads': {
    doc: 'How the programs read kernel memory: cast (6.2 and newer), probe (dearer), or auto by the kernel.',
    default: 'auto',
    format: format.oneOf('auto', 'cast', 'probe'),
  },
  'scope.by': {
    doc: 'The number that tells containers apart: auto, cgroup2, cgroup1, mntns or pidns.',
    default: 'auto',
    format: format.oneOf('auto', 'cgroup2', 'cgroup1', 'mntns', 'pidns'),
  },
  'scope.cgroup1_hierarchy': {
    doc: 'The v1 hierarchy that is asked: a controller such as memory, or auto.',
    default: 'auto',
    format: format.cgroup1Hierarchy,
  },
  'scope.host': { doc: 'Also trace what belongs to no container.', default: false, format: format.boolean },
  'scope.adopt_open': {
    doc: 'Take over files that are open at start.',
    default: true,
    format: format.boolean,
  },
  'containers.allow': {
    doc: 'Trace only containers that match a rule; empty: all.',
    default: [],
    format: format.listOf(format.rule, 'rules'),
  },
  'containers.deny': {
    doc: 'Never trace containers that match a rule.',
    default: [],
    format: format.listOf(format.rule, 'rules'),
  },
  'containers.runtime_phase': {
    doc: 'Also trace what the runtime opens before it starts the container.',
    default: false,
    format: format.boolean,
  },
  'containers.runtimes': {
    doc: 'Runtimes to ask: auto, or a map such as {docker: off, cri: /run/own/cri.sock, state: off}.',
    default: 'auto',
    format: format.runtimes,
  },
  'containers.labels': {
    doc: 'Globs of labels to send, as container.label.KEY.',
    default: [],
    format: format.listOf(format.text, 'globs'),
  },
  'containers.keep_after_exit': {
    doc: 'How long a container is remembered after it ended.',
    default: '30s',
    format: format.duration,
  },
  'files.types': {
    doc: 'Types of files to trace.',
    default: ['regular'],
    format: format.listOf(format.fileType, 'file types'),
  },
  'files.exclude_filesystems': {
    doc: 'File systems whose files are left out.',
    default: FILE_SYSTEMS,
    format: format.listOf(format.oneOf(...FILE_SYSTEM_NAMES), 'file systems'),
  },
  'files.exclude': {
    doc: 'Globs of paths to leave out; beats include.',
    default: EXCLUDED,
    format: format.listOf(format.glob, 'globs'),
  },
  'files.include': {
    doc: 'Globs of paths to keep; empty: all.',
    default: [],
    format: format.listOf(format.glob, 'globs'),
  },
  'files.access': {
    doc: 'Trace only opens for read, write, read_write, path or none (O_PATH; ioctl only); empty: all.',
    default: [],
    format: format.listOf(format.access, 'accesses'),
  },
  'files.redact': {
    doc: 'Globs of paths to hide, or {path: GLOB, with: mask or hash}: their folder and `…redacted`, or a keyed hash.',
    default: [],
    format: format.listOf(format.redactRule, 'globs or rules'),
  },
  'files.redact_key': {
    doc: 'Secret of at least 16 characters for the hashes of files.redact; null: a random one at each start.',
    default: null,
    format: format.secretOrNull,
    isSecret: true,
  },
  'processes.exclude': {
    doc: "Globs of executables' names (process.executable.name) to leave out.",
    default: [],
    format: format.listOf(format.glob, 'globs'),
  },
  'processes.users': {
    doc: 'Trace only these users of the host: names, numbers, ranges such as 1000-1999; empty: all.',
    default: [],
    format: format.users,
  },
  'spans.attributes': {
    doc: 'How much a span carries.',
    default: 'standard',
    format: format.oneOf('lean', 'standard', 'full'),
  },
  'spans.name': {
    doc: 'Span names: `open` with a path template, or `open`.',
    default: 'template',
    format: format.oneOf('template', 'operation'),
  },
  'spans.names_max': {
    doc: 'Different span names of one container; beyond, as many of directories.',
    default: 200,
    format: format.integer(1, 10000),
  },
  'spans.min_duration': {
    doc: 'Shorter spans are dropped, counted as too_short.',
    default: '0ms',
    format: format.duration,
  },
  'spans.failed_opens': {
    doc: 'errnos whose failed opens become spans.',
    default: FAILED,
    format: format.listOf(format.errno, 'errnos'),
  },
  'spans.io_totals': {
    doc: 'Also count bytes and calls that went through the file; costs each read and write of the host some 50 ns.',
    default: false,
    format: format.boolean,
  },
  'spans.held.after': {
    doc: 'A file that is open for so long is reported by a `held` span; 0: never.',
    default: '5m',
    format: format.duration,
  },
  'spans.held.every': {
    doc: 'How often it is reported after that; 0: not again.',
    default: '1h',
    format: format.duration,
  },
  ...SAMPLING_KEYS,
  'trace.group_by': {
    doc: 'What makes one trace: the executions of each process, or a container.',
    default: 'process',
    format: format.oneOf('process', 'container'),
  },
  'trace.window': {
    doc: 'Slice of a trace: what is opened and closed within it is one trace.',
    default: '15s',
    format: format.durationBetween(SECOND_MS, HOUR_MS),
  },
  'trace.spans_max': {
    doc: 'Opens of one slice; beyond, the next slice begins. Jaeger cuts a trace at 10,000 spans.',
    default: 1000,
    format: format.integer(10, 9000),
  },
  'export.protocol': {
    doc: 'OTLP protocol; http/protobuf costs less.',
    default: 'grpc',
    format: format.oneOf('grpc', 'http/protobuf'),
  },
  'export.endpoint': {
    doc: "The backend's address; not set and http/protobuf: port 4318.",
    default: 'http://127.0.0.1:4317',
    format: format.text,
  },
  'export.compression': {
    doc: 'auto: none on loopback, else zstd.',
    default: 'auto',
    format: format.oneOf('auto', 'none', 'gzip', 'zstd'),
  },
  'export.headers': { doc: 'Headers of each request.', default: {}, format: format.textMap, isSecret: true },
  'export.headers_file': {
    doc: 'File of further headers, one `name: value` a line.',
    default: null,
    format: format.textOrNull,
  },
  'export.tls.ca': { doc: 'File of certificates to trust.', default: null, format: format.textOrNull },
  'export.tls.cert': { doc: 'File of our certificate.', default: null, format: format.textOrNull },
  'export.tls.key': { doc: "File of our certificate's key.", default: null, format: format.textOrNull },
  'export.timeout': { doc: 'For one request.', default: '10s', format: format.durationBetween(1, HOUR_MS) },
  'export.queue.bytes_max': {
    doc: 'Requests that wait, compressed; beyond, the oldest is dropped.',
    default: '32MiB',
    format: format.bytes(1 << 20, 2 ** 40),
  },
  'export.queue.requests_in_flight': { doc: 'Requests at once.', default: 4, format: format.integer(1, 64) },
  'export.spool.dir': {
    doc: 'Folder on a local disk for requests that memory cannot hold; they survive a restart and a kill. null: none.',
    default: null,
    format: format.folderOrNull,
  },
  'export.spool.bytes_max': {
    doc: 'Bytes of that folder; beyond, the oldest requests are dropped.',
    default: '1GiB',
    format: format.bytes(16 << 20, 2 ** 40),
  },
  resource: { doc: 'Attributes added to every container.', default: {}, format: format.resource },
  'telemetry.metrics.otlp': { doc: "Send fdspan's own metrics.", default: true, format: format.boolean },
  'telemetry.metrics.containers': {
    doc: "Count each container's opens, failures, open files and durations in the kernel, before sampling, and send them as metrics.",
    default: true,
    format: format.boolean,
  },
  'telemetry.metrics.pressure': {
    doc: "Send the containers' I/O, memory and CPU pressure (PSI) as metrics of theirs, every 10 s.",
    default: false,
    format: format.boolean,
  },
  'telemetry.metrics.prometheus': {
    doc: 'Port (on loopback) or ADDRESS:PORT (*: every address) where /metrics, /healthz and /readyz are served, to whoever can connect; null: none.',
    default: null,
    format: format.listenAddress,
  },
  'telemetry.log_level': {
    doc: 'Least level that is logged.',
    default: 'info',
    format: format.oneOf('error', 'warn', 'info', 'debug'),
  },
  'control.socket': {
    doc: 'Socket that the other commands ask.',
    default: '/run/fdspan/control.sock',
    format: format.socketPath,
  },
  'control.state_file': {
    doc: 'Keeps since when files are open over a restart of fdspan, in this boot; null: nothing is kept.',
    default: '/run/fdspan/open-times.state',
    format: format.textOrNull,
  },
  ...LIMIT_KEYS,
};
