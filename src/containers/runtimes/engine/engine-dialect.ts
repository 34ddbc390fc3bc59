// How one kind of container engine is asked over HTTP, and how its answers are read.
import type { Answer } from '../answer-fields.ts';
import type { ContainerMetadata } from '../runtime-source.ts';

export interface EngineDialect {
  readonly runtimeName: string;
  /** The version of the API that fdspan was written for; the engine may take other ones only. */
  readonly apiVersion: string;
  readonly inspectPath: (apiVersion: string, id: string) => string;
  readonly eventsPath: (apiVersion: string, query: string) => string;
  readonly events: readonly string[];
  /** Reads an inspection's answer, but for id and runtime. */
  readonly read: (answer: Answer) => Omit<ContainerMetadata, 'id' | 'runtimeName' | 'runtimeVersion'>;
}
