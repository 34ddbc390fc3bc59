// Sends the kernel's records about scopes on to the main thread, at most so many as that has room for.
import { counterIndex, gaugeIndex } from '../model/counters.ts';
import type { FromPump } from '../model/pump-messages.ts';
import { RECORD_SCOPE_REMOVED } from '../model/record-layout.ts';
import type { RecordCursor } from '../model/record-cursor.ts';

/**
 * Records about groups that came and went which the main thread hasn't taken. Reason: 18 MB, a second of a host that makes
 * groups as fast as it can. Overflow: `scope_records_lost`, which makes the main thread look through the tree.
 */
const GROUPS_MAX = 16_384;
/** The same with records that describe: the kernel takes those for told, and so they are given up last. */
const RECORDS_MAX = 2 * GROUPS_MAX;

const LOST = counterIndex('scope_records_lost');
const POSTED = gaugeIndex('scope_records_posted');
const TAKEN = gaugeIndex('scope_records_taken');

export class ScopeRecordSender {
  private readonly post: (message: FromPump) => void;
  private readonly counters: Float64Array;

  constructor(post: (message: FromPump) => void, counters: Float64Array) {
    this.post = post;
    this.counters = counters;
  }

  /** Copies the record under the cursor into a message, or counts it as lost. */
  send(cursor: RecordCursor): void {
    const isAboutGroup = cursor.u8(0) <= RECORD_SCOPE_REMOVED;
    // An old count of those that are taken only makes it lower.
    const untaken = this.counters[POSTED] - this.counters[TAKEN];
    if (untaken >= (isAboutGroup ? GROUPS_MAX : RECORDS_MAX)) {
      this.counters[LOST] += 1;
      return;
    }
    this.counters[POSTED] += 1;
    const { bytes, offset, length } = cursor;
    this.post({ type: 'scope-record', record: bytes.slice(offset, offset + length) });
  }
}
