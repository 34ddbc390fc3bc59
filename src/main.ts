// The process: arguments in, exit code out. Nothing else ends it.
import { runCommandLine } from './cli/command-line.ts';
import { EXIT_BUG } from './cli/exit-codes.ts';

/**
 * The SDK's exporters read them by themselves, and put them below the headers that they are given: a token that the
 * configuration replaced would go out after all. fdspan has its own copy.
 */
const HEADER_VARIABLES = ['', '_TRACES', '_METRICS'].map((signal) => `OTEL_EXPORTER_OTLP${signal}_HEADERS`);

try {
  const { stdin, stdout, stderr } = process;
  const env = { ...process.env };
  for (const name of HEADER_VARIABLES) delete process.env[name];
  // A reader that went away or a disk that is full costs the text, not the spans: Node tries each later write again.
  for (const stream of [stdout, stderr]) stream.on('error', () => {});
  process.exit(await runCommandLine(process.argv.slice(2), { stdin, stdout, stderr, env }));
} catch (error) {
  process.stderr.write(`fdspan: a bug; please report it:\n${(error as Error).stack}\n`);
  process.exit(EXIT_BUG);
}
