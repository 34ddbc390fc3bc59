// The keys of `sampling`, in the order of config/default.yaml.
import * as format from './formats.ts';
import type { Key } from './key.ts';
import * as sampling from './sampling-formats.ts';

export const SAMPLING_KEYS: Readonly<Record<string, Key>> = {
  'sampling.ratio': {
    doc: 'Share of opens to trace where no rule matches: 0 to 1, or a percentage.',
    default: 1,
    format: sampling.ratio,
  },
  'sampling.rules': {
    doc: 'Ratios of their own, as {container: {name: "web-*"}, path: "/var/log/**", access: write, process: nginx, ratio: 0.1}; the first that agrees.',
    default: [],
    format: sampling.rules,
  },
  'sampling.keep': {
    doc: 'What is sent whatever was drawn: failed opens, files reported as held, slow ones.',
    default: ['failed', 'held'],
    format: format.listOf(format.oneOf('failed', 'held', 'slow'), 'classes'),
  },
  'sampling.slow_after': {
    doc: 'A file that is open for longer is slow.',
    default: '1s',
    format: format.duration,
  },
  'sampling.target.container': {
    doc: 'Spans a second of one container, met by sampling less of it; 0: no target.',
    default: 0,
    format: sampling.rate,
  },
  'sampling.target.host': {
    doc: 'Spans a second of the host, met by sampling less; 0: no target.',
    default: '2000/s',
    format: sampling.rate,
  },
  'sampling.limit.host': {
    doc: 'Hard limit of spans a second; beyond, they are dropped, counted as rate_limited. 0: no limit.',
    default: 0,
    format: sampling.rate,
  },
};
