// What is known of each key of the configuration.
import type { Format } from './formats.ts';

export interface Key {
  readonly doc: string;
  /** As a user would write it. */
  readonly default: unknown;
  readonly format: Format;
  readonly isSecret?: boolean;
}
