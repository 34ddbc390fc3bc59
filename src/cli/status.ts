// `fdspan status`: what the running collector says of itself over the control socket.
import { DROPS } from '../telemetry/summary.ts';
import { escapeControls } from '../telemetry/terminal-text.ts';
import { askAndPrint, type AskIo } from './ask-collector.ts';

/** What the collector's `status` handler answers. */
export interface CollectorStatus {
  readonly version: string;
  readonly pid: number;
  readonly uptimeSeconds: number;
  readonly attachMode: string;
  /** What tasks are attributed by, as `scope.by` names it. */
  readonly scope: string;
  readonly endpoint: string;
  readonly counters: Readonly<Record<string, number>>;
  readonly containers: number;
  readonly queue: Store;
  /** On the disk; null: none is configured. */
  readonly spool?: Store | null;
}

interface Store {
  readonly bytes: number;
  readonly bytesMax: number;
  readonly spans: number;
}

/** Shows seconds as `3d 4h`, `4h 5m`, `5m 6s` or `6s`. */
function uptimeText(seconds: number): string {
  const units: readonly [string, number][] = [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ];
  const parts: string[] = [];
  let rest = Math.floor(seconds);
  for (const [unit, size] of units) {
    const count = Math.floor(rest / size);
    rest %= size;
    if (count > 0 || parts.length > 0 || unit === 's') parts.push(`${count}${unit}`);
  }
  return parts.slice(0, 2).join(' ');
}

const BYTES_PER_MEBIBYTE = 1 << 20;

function mebibytes(bytes: number): string {
  return `${(bytes / BYTES_PER_MEBIBYTE).toFixed(1)} MiB`;
}

function storeText({ spans, bytes, bytesMax }: Store): string {
  return `${spans} spans, ${mebibytes(bytes)} of ${mebibytes(bytesMax)}`;
}

function lines(status: CollectorStatus): string[] {
  const { counters, queue, spool } = status;
  const facts: readonly [string, string][] = [
    ['version', `${status.version} (pid ${status.pid}, up ${uptimeText(status.uptimeSeconds)})`],
    ['attached', `${status.attachMode}, scope by ${status.scope}`],
    ['backend', status.endpoint],
    ['containers', String(status.containers)],
    ['queue', storeText(queue)],
    ['spool', spool ? storeText(spool) : 'none (export.spool.dir)'],
    ['opens', `${counters.opens_in_scope ?? 0} in scope, ${counters.still_open ?? 0} still open`],
    ['spans', `${counters.spans_encoded ?? 0} encoded, ${counters.spans_accepted ?? 0} accepted`],
  ];
  const drops = DROPS.filter(({ reason }) => (counters[reason] ?? 0) > 0);
  const dropText = drops.map(({ stage, reason }) => `${reason} ${counters[reason]} (${stage})`).join(', ');
  const text = facts.map(([name, fact]) => `${name.padEnd(11)}${escapeControls(fact)}`);
  text.push(`${'drops'.padEnd(11)}${dropText === '' ? 'none' : dropText}`);
  return text;
}

/** Runs the command and returns its exit code. */
export function status(args: readonly string[], io: AskIo): Promise<number> {
  return askAndPrint('status', args, io, (answer) => lines(answer as CollectorStatus).join('\n'));
}
