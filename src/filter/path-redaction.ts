// Stage filter: the redaction in force, which a reload changes between two records.
import type { RecordCursor } from '../model/record-cursor.ts';
import type { Redaction } from '../model/redaction.ts';
import { Redactor } from './redactor.ts';

export class PathRedaction {
  /** null: paths are told as they are. */
  private redactor: Redactor | null;

  constructor(redaction: Redaction | undefined) {
    this.redactor = createRedactor(redaction);
  }

  /** The rules were compiled before, by the check of the configuration: they compile here, too. */
  change(redaction: Redaction | undefined): void {
    this.redactor = createRedactor(redaction);
  }

  /** Lets the cursor's path be the redacted one, where a rule says so. */
  redact(cursor: RecordCursor): void {
    if (this.redactor !== null) this.redactor.redact(cursor);
  }
}

function createRedactor(redaction: Redaction | undefined): Redactor | null {
  return redaction === undefined ? null : new Redactor(redaction);
}
