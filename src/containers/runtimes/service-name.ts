// The service's name in a container's environment. No other variable is read: others hold secrets.
import { fieldsOf, nameOf } from './fields.ts';

const PREFIX = 'OTEL_SERVICE_NAME=';

/**
 * Returns the value of OTEL_SERVICE_NAME in a list of `KEY=VALUE`; of several the last, which is the one that is set.
 * Undefined where it is unset or empty.
 */
export function serviceNameOf(environment: unknown): string | undefined {
  if (!Array.isArray(environment)) return undefined;
  const entry: unknown = environment.findLast((each) => typeof each === 'string' && each.startsWith(PREFIX));
  return typeof entry === 'string' ? nameOf(entry.slice(PREFIX.length)) : undefined;
}

/** As {@link serviceNameOf}, for the environment in an OCI specification, a bundle's config.json. */
export function serviceNameOfSpec(spec: unknown): string | undefined {
  return serviceNameOf(fieldsOf(fieldsOf(spec).process).env);
}
