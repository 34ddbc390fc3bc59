// The value formats of `sampling`: shares, rates and rules.
import { glob, listOf, oneOf, rule as containerRule, type Format } from './formats.ts';
import { changeEach, ValueError } from './value-error.ts';

/** SAMPLING_RULES_MAX of bpf/record.h: one bit each. Overflow: a problem that says so. */
const RULES_MAX = 32;
/** Reason: beyond it is a slip of the pen, and rates are multiplied. */
const RATE_MAX = 1e9;

const FIELDS: Readonly<Record<string, Format>> = {
  container: containerRule,
  path: glob,
  access: oneOf('read', 'write', 'read_write'),
  process: glob,
  ratio,
};

/** A share of 0 to 1, from `0.01` or `1%`. */
export function ratio(value: unknown): number {
  const [, digits, percent] = /^(\d+\.?\d*(?:e-?\d+)?|\.\d+)(%?)$/i.exec(String(value)) ?? [];
  const share = Number(digits) / (percent === '%' ? 100 : 1);
  if (Number.isNaN(share) || share > 1) throw new Error('a share from 0 to 1, such as 0.1 or 10%');
  return share;
}

/** Spans a second, from `2000/s` or `2000`. */
export function rate(value: unknown): number {
  const [, digits] = /^(\d+(?:\.\d+)?)(?:\/s)?$/.exec(String(value)) ?? [];
  const perSecond = Number(digits);
  if (Number.isNaN(perSecond)) throw new Error('a rate such as 2000/s; 0 for none');
  if (perSecond > RATE_MAX) throw new Error(`at most ${RATE_MAX}/s`);
  return perSecond;
}

const ruleList = listOf(rule, 'rules');

/** The rules, in order. */
export function rules(value: unknown): unknown {
  const list = ruleList(value) as readonly unknown[];
  if (list.length > RULES_MAX) throw new Error(`a list of at most ${RULES_MAX} rules`);
  return list;
}

function rule(value: unknown): unknown {
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isMap || !Object.hasOwn(value, 'ratio') || Object.keys(value).length < 2)
    throw new Error('a rule such as {container: {name: "web-*"}, ratio: 0.1}: what it is for, and its ratio');
  return Object.fromEntries(changeEach(Object.entries(value), field));
}

function field(value: unknown, name: string): unknown {
  if (Object.hasOwn(FIELDS, name)) return FIELDS[name](value);
  const message = `is under a field that no rule has: the fields are ${Object.keys(FIELDS).join(', ')}`;
  throw new ValueError([{ path: [], value, message }]);
}
