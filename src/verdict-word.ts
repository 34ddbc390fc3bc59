// A verdict of the registry as the kernel's policy holds it: with the container's slot in the same word.
import type { RegistryVerdict } from './containers/registry-options.ts';
import * as layout from './model/record-layout.ts';

const VERDICTS: Readonly<Record<RegistryVerdict, number>> = {
  trace: layout.VERDICT_TRACE,
  deny: layout.VERDICT_DENY,
  ignore: layout.VERDICT_IGNORE,
  unjudged: layout.VERDICT_UNJUDGED,
};

/** Only a container that is traced has its slot there. */
export function verdictWord(verdict: RegistryVerdict, slot: number): number {
  return VERDICTS[verdict] | (verdict === 'trace' ? slot << layout.VERDICT_SLOT_SHIFT : 0);
}
