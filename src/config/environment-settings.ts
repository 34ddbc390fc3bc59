// FDSPAN_* and --set as settings.
import { isSection, settingsOfYaml } from './file-settings.ts';
import { cut, quotedName, type Problem } from './problems.ts';
import { KEYS } from './schema.ts';
import type { Setting } from './setting.ts';
import { suggestionFor, suggestionForVariable, variableOf } from './suggestion.ts';

/** Read by bin/fdspan, not by the configuration. */
const OTHER_VARIABLES = ['FDSPAN_DEV'];

/** What Kubernetes sets in every pod for a Service whose name begins with fdspan, by the form of its values too. */
const KUBERNETES: readonly (readonly [RegExp, RegExp])[] = [
  [/_SERVICE_HOST$/, /^[\d.]+$|^[\da-f:.]+$/i],
  [/_SERVICE_PORT(_[A-Z0-9_]+)?$/, /^\d+$/],
  [/_PORT(_\d+_(TCP|UDP|SCTP))?$/, /^(tcp|udp|sctp):\/\//],
  [/_PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)$/, /^(tcp|udp|sctp|\d+|[\da-f:.]+)$/i],
];

/** Returns the settings of FDSPAN_*; an empty variable counts as unset. */
export function settingsOfEnvironment(env: NodeJS.ProcessEnv, problems: Problem[]): Setting[] {
  const keys = new Map(Object.keys(KEYS).map((key) => [variableOf(key), key]));
  const settings: Setting[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('FDSPAN_') || value === undefined || value === '') continue;
    const key = keys.get(name);
    if (key !== undefined) settings.push({ key, value, origin: name });
    else if (!OTHER_VARIABLES.includes(name) && !isOfKubernetes(name, value)) {
      const message = `no key has this variable${suggestionForVariable(name)}`;
      problems.push({ source: quotedName(name), key: null, message });
    }
  }
  return settings;
}

function isOfKubernetes(name: string, value: string): boolean {
  return KUBERNETES.some(([names, values]) => names.test(name) && values.test(value));
}

/** Returns the settings of `KEY=VALUE` texts, in their order: the last one of a key is the strongest. */
export function settingsOfSets(sets: readonly string[], problems: Problem[]): Setting[] {
  return sets.flatMap((set) => {
    const at = set.indexOf('=');
    const key = set.slice(0, at);
    const value = set.slice(at + 1);
    const tell = (message: string): Setting[] => {
      problems.push({ source: '--set', key: null, message });
      return [];
    };
    if (at < 1) return tell(`${cut(JSON.stringify(set))} must be KEY=VALUE`);
    if (isSection(key)) return settingsOfYaml(value, key, () => '--set', problems);
    if (!Object.hasOwn(KEYS, key)) return tell(`unknown key ${quotedName(key)}${suggestionFor(key)}`);
    if (value === '') return tell(`${key}= has no value; where a key may have none, write ${key}=null`);
    return [{ key, value, origin: '--set' }];
  });
}
