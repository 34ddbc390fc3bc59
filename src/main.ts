// The process: arguments in, exit code out. Nothing else ends it.
import { runCommandLine } from './cli/command-line.ts';
import { EXIT_BUG } from './cli/exit-codes.ts';

try {
  const { stdin, stdout, stderr, env } = process;
  // A reader that went away or a disk that is full costs the text, not the spans: Node tries each later write again.
  for (const stream of [stdout, stderr]) stream.on('error', () => {});
  process.exit(await runCommandLine(process.argv.slice(2), { stdin, stdout, stderr, env }));
} catch (error) {
  process.stderr.write(`fdspan: a bug; please report it:\n${(error as Error).stack}\n`);
  process.exit(EXIT_BUG);
}
