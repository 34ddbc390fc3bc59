// What the export stage tells of each send as it ends, for histograms; counters tell the rest.

export interface EndedSend {
  readonly durationMs: number;
  readonly kind: 'success' | 'partial' | 'retryable' | 'permanent';
  /** When the request's first file was closed, by the boot clock; 0: it has none. */
  readonly closedBootMs: number;
}

export type ExportObserver = (send: EndedSend) => void;
