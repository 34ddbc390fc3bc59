// The kernel's records about scopes between the pump and the registry, on the main thread: taken in their order, in the
// turn after the next. Not before: what the watch of the state folders has to tell of a container is older than its
// record, and the turn in which the record came may have begun before both.
import { setImmediate as nextTurn } from 'node:timers/promises';

export class ScopeRecordQueue {
  readonly #take: (record: Uint8Array) => void;
  /** Came since the event loop's last turn. The pump bounds how many it has posted that aren't taken. */
  readonly #records: Uint8Array[] = [];

  constructor(take: (record: Uint8Array) => void) {
    this.#take = take;
  }

  add(record: Uint8Array): void {
    if (this.#records.push(record) > 1) return;
    setImmediate(() => {
      const records = this.#records.splice(0);
      setImmediate(() => {
        for (const taken of records) this.#take(taken);
      });
    });
  }

  /** Resolves when all records that came are taken. */
  async taken(): Promise<void> {
    await nextTurn();
    await nextTurn();
  }
}
