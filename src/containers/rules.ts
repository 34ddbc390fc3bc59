// Allow and deny rules: which containers are traced. Deny beats allow; no allow rule allows all.
import type { ContainerPath } from './cgroup-path.ts';
import { compileGlob, type Glob } from './glob.ts';
import type { ContainerMetadata } from './runtimes/runtime-source.ts';

/** A rule as users write it: globs, all of which must match. A rule without any matches nothing. */
export interface ContainerRule {
  readonly name?: string;
  readonly image?: string;
  /** Against `key=value` of each label. */
  readonly label?: string;
  readonly namespace?: string;
  readonly pod?: string;
  readonly runtime?: string;
  readonly id?: string;
  /** Against the path of the container's group, from the hierarchy's root. */
  readonly cgroup?: string;
}

/** What is known of a container. A field that isn't known is left out, and matches no glob. */
export interface ContainerFacts {
  readonly name?: string;
  /** In every form that a rule may name. */
  readonly image?: readonly string[];
  readonly labels?: readonly string[];
  readonly namespace?: string;
  readonly pod?: string;
  readonly runtime?: string;
  readonly id?: string;
  readonly cgroup?: string;
}

export interface RuleVerdict {
  readonly isAllowed: boolean;
  /** What decided, as `deny[0]` or `allow[2]`; null where no rule did. */
  readonly rule: string | null;
}

export interface ContainerRules {
  judge(facts: ContainerFacts): RuleVerdict;
  /** The verdict where id and control group alone deny the container, whatever its runtime may tell; else null. */
  denies(path: Pick<ContainerPath, 'containerId' | 'groupPath'>): RuleVerdict | null;
}

const FIELDS = ['name', 'image', 'label', 'namespace', 'pod', 'runtime', 'id', 'cgroup'] as const;

type Matcher = (facts: ContainerFacts) => boolean;

/** Compiles the rules. Throws a RangeError for a glob that is too long. */
export function compileRules(
  allow: readonly ContainerRule[],
  deny: readonly ContainerRule[],
): ContainerRules {
  const allowMatchers = allow.map(compileRule);
  const denyMatchers = deny.map(compileRule);
  const groupMatchers = allow.map(groupPartOf).map(compilePart);
  return {
    judge(facts) {
      const denied = denyMatchers.findIndex((matches) => matches(facts));
      if (denied !== -1) return { isAllowed: false, rule: `deny[${denied}]` };
      if (allowMatchers.length === 0) return { isAllowed: true, rule: null };
      const allowed = allowMatchers.findIndex((matches) => matches(facts));
      return allowed === -1
        ? { isAllowed: false, rule: null }
        : { isAllowed: true, rule: `allow[${allowed}]` };
    },
    denies({ containerId: id, groupPath: cgroup }) {
      const known = { id, cgroup };
      const denied = deny.findIndex((rule, index) => isOfGroup(rule) && denyMatchers[index](known));
      if (denied !== -1) return { isAllowed: false, rule: `deny[${denied}]` };
      const isHopeless = allow.length > 0 && groupMatchers.every((matches) => !matches(known));
      return isHopeless ? { isAllowed: false, rule: null } : null;
    },
  };
}

/** What is known before a runtime is asked. */
const GROUP_FIELDS: ReadonlySet<string> = new Set(['id', 'cgroup']);

function isOfGroup(rule: ContainerRule): boolean {
  return Object.keys(rule).every((field) => GROUP_FIELDS.has(field));
}

function groupPartOf(rule: ContainerRule): ContainerRule {
  return Object.fromEntries(Object.entries(rule).filter(([field]) => GROUP_FIELDS.has(field)));
}

/** A rule without any field matches nothing. */
function compileRule(rule: ContainerRule): Matcher {
  const matches = compilePart(rule);
  return (facts) => Object.keys(rule).length > 0 && matches(facts);
}

function compilePart(rule: ContainerRule): Matcher {
  const tests: { valuesOf: (facts: ContainerFacts) => readonly string[]; glob: Glob }[] = [];
  for (const field of FIELDS) {
    const pattern = rule[field];
    if (pattern === undefined) continue;
    const glob = compileGlob(pattern, field === 'cgroup' ? 'path' : 'name');
    tests.push({ valuesOf: (facts) => valuesOf(facts, field), glob });
  }
  return (facts) => tests.every(({ valuesOf, glob }) => valuesOf(facts).some(glob));
}

function valuesOf(facts: ContainerFacts, field: (typeof FIELDS)[number]): readonly string[] {
  const value = field === 'label' ? facts.labels : facts[field];
  if (value === undefined) return [];
  return typeof value === 'string' ? [value] : value;
}

/** What the rules can match: the group's path, and what the runtime told of the container. */
export function factsOf(path: ContainerPath, metadata: ContainerMetadata | null): ContainerFacts {
  const { containerId: id, runtime, groupPath: cgroup } = path;
  if (metadata === null) return { id, runtime, cgroup };
  const { pod } = metadata;
  const tags = metadata.imageTags ?? [];
  const facts: Record<string, string | readonly string[] | undefined> = {
    id,
    cgroup,
    runtime: metadata.runtimeName,
    name: metadata.name ?? pod?.containerName,
    image: metadata.imageName === undefined ? undefined : imagesOf(metadata.imageName, tags),
    labels: metadata.labels === undefined ? undefined : labelTexts(metadata.labels),
    namespace: pod?.namespace,
    pod: pod?.name,
  };
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined));
}

/** With and without its tags: `nginx` and `nginx:1.27` both match. */
function imagesOf(name: string, tags: readonly string[]): string[] {
  return [name, ...tags.map((tag) => `${name}:${tag}`)];
}

function labelTexts(labels: ReadonlyMap<string, string>): string[] {
  return [...labels].map(([key, value]) => `${key}=${value}`);
}
