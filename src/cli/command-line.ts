// The command line: which command, and what every command shares. Commands are loaded when called, so
// that `--version` is quick.
import { version, type CommandIo } from './command-io.ts';
import { EXIT_OK, EXIT_USAGE } from './exit-codes.ts';

type Command = (args: readonly string[], io: CommandIo) => Promise<number>;

const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  run: async () => (await import('./run.ts')).run,
  check: async () => (await import('./check.ts')).check,
  doctor: async () => (await import('./doctor.ts')).doctor,
  tail: async () => (await import('./tail.ts')).tail,
  containers: async () => (await import('./containers.ts')).containers,
  open: async () => (await import('./open.ts')).open,
  status: async () => (await import('./status.ts')).status,
  identify: async () => (await import('./identify.ts')).identify,
};

export const HELP = `fdspan: one OpenTelemetry span for every open…close pair in a container

Usage: fdspan COMMAND [OPTIONS]

  run         trace, and send spans by OTLP
              --config FILE  --set KEY=VALUE (any number of times)
  check       validate the configuration and print it with the source of each value
              --config FILE  --set KEY=VALUE  --json
  doctor      what this host and this process can do, and the cure for what they can't
              --config FILE  --set KEY=VALUE  --connect (try the backend's port)  --json
  tail        a live table of spans, from the running collector
              --seconds N  --count N  --socket PATH  --json
  containers  those that the running collector has seen, which rule decided, counts
              --socket PATH  --json
  open        files that are open now: who has them, since when, their size
              --path GLOB  --container NAME-OR-ID  --socket PATH  --json
  status      counters of the running collector
              --socket PATH  --json
  identify    what fdspan makes of a process: [PID | -]
  --help, --version

Exit codes: 0 ok, 1 fit with warnings, 64 usage, 69 the kernel lacks something, 70 a bug,
77 not permitted, 78 bad configuration.
Configuration: docs/configuration.md; every key is documented in config/default.yaml.
`;

/** Runs the command that the arguments name, and returns the exit code. */
export async function runCommandLine(args: readonly string[], io: CommandIo): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    (name === undefined ? io.stderr : io.stdout).write(HELP);
    return name === undefined ? EXIT_USAGE : EXIT_OK;
  }
  if (name === '--version' || name === '-V') {
    io.stdout.write(`fdspan ${version()}\n`);
    return EXIT_OK;
  }
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (load === undefined) {
    io.stderr.write(`fdspan: ${JSON.stringify(name)} is no command of fdspan; see fdspan --help\n`);
    return EXIT_USAGE;
  }
  if (rest.includes('--help') || rest.includes('-h')) {
    io.stdout.write(HELP);
    return EXIT_OK;
  }
  return (await load())(rest, io);
}
