// How one kind of container engine is asked over HTTP, and how its answers are read.
import type { Fields } from '../fields.ts';
import type { ContainerMetadata } from '../runtime-source.ts';

/** What an engine tells of one container; which container and engine it is, is known already. */
export type InspectedContainer = Omit<ContainerMetadata, 'id' | 'runtimeName' | 'runtimeVersion'>;

export interface EngineDialect {
  readonly runtimeName: string;
  /** The version of the API that fdspan was written for; the engine may take other ones only. */
  readonly apiVersion: string;
  readonly inspectPath: (apiVersion: string, id: string) => string;
  readonly eventsPath: (apiVersion: string, query: string) => string;
  readonly events: readonly string[];
  readonly read: (answer: Fields) => InspectedContainer;
}
