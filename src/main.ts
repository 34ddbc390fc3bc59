// The process: arguments in, exit code out. Nothing else ends it.
import { runCommandLine } from './cli/command-line.ts';
import { EXIT_BUG } from './cli/exit-codes.ts';

try {
  const { stdin, stdout, stderr, env } = process;
  process.exit(await runCommandLine(process.argv.slice(2), { stdin, stdout, stderr, env }));
} catch (error) {
  process.stderr.write(`fdspan: a bug; please report it:\n${(error as Error).stack}\n`);
  process.exit(EXIT_BUG);
}
