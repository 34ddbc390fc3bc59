// What events told of containers that have no group yet, until somebody asks. It answers at once.
import { isHexId } from './cgroup-segment.ts';
import { isWorseTold } from './preference.ts';
import type { ContainerMetadata, ContainerQuestion } from './runtimes/runtime-source.ts';
import { isToldOf } from './told-of.ts';

/** Reason: containers that are made within a second or two; the oldest is forgotten, and then looked up as any other. */
const NEWS_MAX = 1024;

export class EventNews {
  readonly #news = new Map<string, ContainerMetadata>();

  /** Returns and forgets what was told of the container; undefined where nothing was. */
  take(question: ContainerQuestion, runtime: string): ContainerMetadata | undefined {
    const { id, cgroupPath } = question;
    for (const key of isHexId(id) ? [id] : [keyOf(id, cgroupPath), keyOf(id)]) {
      const told = this.#news.get(key);
      if (told === undefined || !isToldOf(told, question, runtime)) continue;
      this.#news.delete(key);
      return told;
    }
    return undefined;
  }

  /** Takes what was told, to be kept where nobody was waiting for it; false where a better source told before. */
  tell(metadata: ContainerMetadata, isAwaited: boolean): boolean {
    const { id, groupPath } = metadata;
    const key = isHexId(id) ? id : keyOf(id, groupPath);
    if (isWorseTold(metadata, this.#news.get(key))) return false;
    this.#news.delete(key);
    if (!isAwaited) this.#news.set(key, metadata);
    if (this.#news.size > NEWS_MAX) {
      const [oldest] = this.#news.keys();
      this.#news.delete(oldest);
    }
    return true;
  }
}

function keyOf(id: string, groupPath = ''): string {
  return `${groupPath}\n${id}`;
}
