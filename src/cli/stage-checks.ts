// What the stages can tell of a configuration before they start: the same parsers as the run uses, so that
// `check` and `run` refuse what would fail later.
import type { SamplingRule } from '../config/config.ts';
import type { StageChecks, WholeCheck } from '../config/load.ts';
import { changeEach, ValueError } from '../config/value-error.ts';
import { compileGlob } from '../containers/glob.ts';
import { compileRules, type ContainerRule } from '../containers/rules.ts';
import { checkHeader, headersFileProblems, tlsProblems } from '../export/check-credentials.ts';
import { parseEndpoint } from '../export/endpoint.ts';
import { addGlob, createAutomaton } from '../filter/glob-parser.ts';
import { compileRedaction } from '../filter/redactor.ts';
import { globTableOf } from '../kernel-filters.ts';
import type { RedactRule } from '../model/redaction.ts';
import { metricsVariableProblems } from './telemetry-target.ts';

type Tls = Readonly<Record<'ca' | 'cert' | 'key', string | null>>;

/** The stages' errors are whole sentences. */
function told<T>(judge: (value: T) => unknown): (value: T) => void {
  return (value) => {
    try {
      judge(value);
    } catch (error) {
      throw new ValueError([{ path: [], value, message: `can't be used: ${(error as Error).message}` }]);
    }
  };
}

function eachItem<T>(judge: (value: T) => unknown): (list: readonly T[]) => void {
  return (list) =>
    void changeEach(
      list.map((item, index) => [index, item] as const),
      (item) => told(judge)(item as T),
    );
}

const eachByteGlob = eachItem((glob: string) => addGlob(createAutomaton(), glob, 0));
const eachRule = eachItem((rule: ContainerRule) => compileRules([rule], []));

function checkSamplingRule({ container, path, process }: SamplingRule): void {
  if (container !== undefined) compileRules([container], []);
  for (const glob of [path, process]) if (glob !== undefined) addGlob(createAutomaton(), glob, 0);
}

const VALUES: StageChecks['values'] = {
  'containers.allow': eachRule,
  'containers.deny': eachRule,
  'containers.labels': eachItem((glob: string) => compileGlob(glob, 'name')),
  'files.exclude': eachByteGlob,
  'files.include': eachByteGlob,
  'files.redact': eachItem(({ path }: RedactRule) => addGlob(createAutomaton(), path, 0)),
  'processes.exclude': eachByteGlob,
  'sampling.rules': eachItem(checkSamplingRule),
  // The protocol that takes a path: which one is meant shows when every source is read.
  'export.endpoint': told((endpoint: string) => parseEndpoint(endpoint, 'http/protobuf')),
  'export.headers': (headers: Readonly<Record<string, string>>) =>
    void changeEach(Object.entries(headers), (value, name) => checkHeader(name, value as string)),
};

const BYTE_GLOBS: WholeCheck = {
  keys: ['files.exclude', 'files.include', 'processes.exclude', 'sampling.rules'],
  problems: (config) => sentence('files.exclude', () => globTableOf(config)),
};

const REDACTION: WholeCheck = {
  keys: ['files.redact'],
  problems: ({ files: { redact } }) => sentence('files.redact', () => compileRedaction(redact)),
};

const ENDPOINT: WholeCheck = {
  keys: ['export.endpoint', 'export.protocol'],
  problems: ({ export: { endpoint, protocol, isEndpointExact } }) =>
    sentence('export.endpoint', () => parseEndpoint(endpoint, protocol, isEndpointExact)),
};

const CLIENT_CERTIFICATE: WholeCheck = {
  keys: ['export.tls.cert', 'export.tls.key'],
  problems: ({ export: { tls } }) => pairProblems(tls),
};

function pairProblems({ cert, key }: Tls): { key: string; message: string }[] {
  if ((cert === null) === (key === null)) return [];
  const [given, missing] = key === null ? ['cert', 'key'] : ['key', 'cert'];
  return [{ key: `export.tls.${given}`, message: `needs export.tls.${missing} too` }];
}

function sentence(key: string, judge: () => unknown): { key: string; message: string }[] {
  try {
    judge();
    return [];
  } catch (error) {
    return [{ key, message: (error as Error).message }];
  }
}

/** For commands that read the configuration but send nothing. */
export const STAGE_CHECKS: StageChecks = {
  values: VALUES,
  wholes: [BYTE_GLOBS, REDACTION, ENDPOINT, CLIENT_CERTIFICATE],
};

/** Also reads the files that the configuration names. */
export const START_CHECKS: StageChecks = {
  values: VALUES,
  wholes: [
    ...STAGE_CHECKS.wholes,
    {
      keys: ['export.tls.ca', 'export.tls.cert', 'export.tls.key'],
      problems: ({ export: { tls } }) => tlsProblems(tls),
    },
    {
      keys: ['export.headers_file'],
      problems: ({ export: { headersFile } }) => headersFileProblems(headersFile),
    },
  ],
  variables: {
    keys: [
      'export.endpoint',
      'export.protocol',
      'telemetry.metrics.otlp',
      'telemetry.metrics.containers',
      'telemetry.metrics.pressure',
    ],
    problems: metricsVariableProblems,
  },
};
