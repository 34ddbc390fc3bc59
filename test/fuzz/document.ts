// What docs/fuzz.md says around its table, and which runs may write it.

/** Runs of a test of weight 1. With fewer, an end that is rare may be missed by chance. */
export const RUNS_DEFAULT = 1_000_000;

/** Returns why a run that asks for the document doesn't get it, by its environment; null: it does. */
export function whyNotWritten(environment: Readonly<Record<string, string | undefined>>): string | null {
  const { FDSPAN_WRITE, FDSPAN_FUZZ_RUNS, FDSPAN_FUZZ_PATH } = environment;
  if (FDSPAN_WRITE !== '1') return null;
  const told = 'FDSPAN_WRITE=1: docs/fuzz.md tells of whole runs only;';
  if (FDSPAN_FUZZ_PATH !== undefined) return `${told} FDSPAN_FUZZ_PATH is one input`;
  if (FDSPAN_FUZZ_RUNS === undefined || Number(FDSPAN_FUZZ_RUNS) >= RUNS_DEFAULT) return null;
  return `${told} FDSPAN_FUZZ_RUNS=${FDSPAN_FUZZ_RUNS} is less than ${RUNS_DEFAULT}`;
}

/** @param run when and where: the end of the first sentence. */
export function documentOf(run: string, table: string): string {
  return `# Fuzzing: any bytes, wherever bytes come from outside

Written by \`FDSPAN_WRITE=1 npm run test:fuzz\` on ${run}

Wherever bytes come from outside, they are any bytes, or real ones that were damaged: flipped bits, cuts, foreign pieces,
lengths that lie. Nothing may throw what isn't meant to be thrown, or hang. What the pump makes of the records must be read by
another protobuf decoder, with texts that are UTF-8, and its counters must add up by the law
([architecture.md](architecture.md#accounting)); records, answers and files are compared with what their specifications say of
the bytes. Each row ran without a failure; a failure prints its seed and path, with which \`FDSPAN_FUZZ_SEED\` and
\`FDSPAN_FUZZ_PATH\` give the same input again.

${table}
`;
}
