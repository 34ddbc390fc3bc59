// At the stop no verdict comes any more.
import type { RecordCursor } from '../model/record-cursor.ts';
import { RECORD_PAIR } from '../model/record-layout.ts';
import type { PumpStages } from './pump-stages.ts';

/** Empties the waiting area and returns how many pairs it held. */
export function giveUpWaiting({ waiting, check }: PumpStages, cursor: RecordCursor): number {
  let pairs = 0;
  waiting.startReplay();
  while (waiting.next(cursor)) {
    if (check(cursor) === RECORD_PAIR) pairs += 1;
    waiting.take();
  }
  waiting.endReplay();
  return pairs;
}
