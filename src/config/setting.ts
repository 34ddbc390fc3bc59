// One value for one key from one source.
import type { Path } from './value-error.ts';

export interface Setting {
  readonly key: string;
  /** As written: in a variable and after --set, lists and maps are YAML text. */
  readonly value: unknown;
  /** Where it was said: `FILE:LINE`, a variable, or `--set`. */
  readonly origin: string;
  /** Where an item of it was said; left out where that is the same. */
  readonly originOf?: (path: Path) => string;
}
