// What becomes of a container once its groups are known: its runtime is asked, the rules judge it once, a traced one
// gets a slot, and its resource is encoded. Slots and verdicts change here only.
import { isHexId } from './cgroup-segment.ts';
import { isWorseTold, underManager } from './preference.ts';
import type { Attributes } from '../model/attributes.ts';
import type { ContainerUpdate } from '../model/container-slot.ts';
import { questionOf, SlotPool, type Container } from './container-table.ts';
import { droppedLabelCount } from './metadata-attributes.ts';
import { containerAttributes } from './resource.ts';
import { factsOf, type ContainerFacts, type ContainerRules } from './rules.ts';
import type { ContainerMetadata, ContainerQuestion } from './runtimes/runtime-source.ts';

/** What a reload of the configuration can change. */
export interface RegistryRules {
  readonly rules: ContainerRules;
  /** From the configuration's `resource`; beats every attribute found here. */
  readonly extraAttributes: Attributes;
  /** Whether a label of this key is sent. */
  readonly isLabelWanted: (key: string) => boolean;
  /** Which rules of sampling a container agrees with, by bit; left out: none. */
  readonly samplingRulesOf?: ((facts: ContainerFacts) => number) | undefined;
}

/** Asks the runtimes; must not reject. `isThere`: whether the container still runs; `isAgain`: nothing waits for the answer. */
export type FindMetadata = (
  question: ContainerQuestion,
  runtime: string,
  isThere: () => boolean,
  isAgain: boolean,
) => Promise<ContainerMetadata | null>;

export interface JudgeListener {
  /** A traced container is new, or its resource changed. Comes before the `scope` calls of its slot. */
  container(update: ContainerUpdate, attributes: Attributes, samplingRules: number): void;
  containerGone(slot: number): void;
  /** Told once: no slot is free, and such containers are ignored until one is. */
  containersFull(containersMax: number): void;
}

export interface JudgeOptions extends RegistryRules {
  readonly containersMax: number;
  readonly hostAttributes: Attributes;
  readonly distroVersion: string;
  /** `droppedCount`: attributes that were left out already. */
  readonly encodeResource: (attributes: Attributes, droppedCount: number) => Uint8Array;
  /** Left out: containers are judged by what their groups tell. */
  readonly findMetadata?: FindMetadata | undefined;
  /** Whether a source that knows most of this runtime's containers fails now. Left out: none does. */
  readonly isRuntimePaused?: (runtime: string) => boolean;
  readonly listener: JudgeListener;
}

/** What the judge asks of the table of containers. */
export interface JudgedTable {
  /** Frees a slot for the container that asks, which may be gone itself, and says whether it may have. */
  freeSlot(asking: Container): boolean;
  /** Whether what a runtime tells of the container's id means another. */
  isNamesake(container: Container): boolean;
  /** Whether the container was made again. */
  isOutlived(container: Container): boolean;
}

export class ContainerJudge {
  readonly #options: JudgeOptions;
  readonly #slots: SlotPool;
  readonly #table: JudgedTable;
  readonly #asking = new Set<Promise<void>>();
  /** Nothing waits for these. */
  readonly #askingAgain = new Set<Promise<void>>();
  #rules: RegistryRules;
  #isFullTold = false;
  #containersFull = 0;

  constructor(options: JudgeOptions, table: JudgedTable) {
    this.#options = options;
    this.#table = table;
    this.#rules = options;
    this.#slots = new SlotPool(options.containersMax);
  }

  /** How many are asked about now. */
  get asking(): number {
    return this.#asking.size + this.#askingAgain.size;
  }

  get containersFull(): number {
    return this.#containersFull;
  }

  set rules(rules: RegistryRules) {
    this.#rules = rules;
  }

  /**
   * Asks the container's runtime and calls back; at once when none can be asked, and when the group alone tells that the
   * container is denied. Not at all where it is being asked already: what was called for then judges by the rules of then.
   */
  ask(container: Container, isThere: () => boolean, answered: () => void, isAgain = false): void {
    const { findMetadata } = this.#options;
    const isDenied = this.#rules.rules.denies(container.path) !== null;
    if (container.isBeingAsked && !isDenied) return;
    if (findMetadata === undefined || container.isAsked || isDenied) {
      answered();
      return;
    }
    container.isAsked = true;
    container.asks += 1;
    container.isBeingAsked = true;
    const { runtime } = container.path;
    const asking = isAgain ? this.#askingAgain : this.#asking;
    const asked = findMetadata(questionOf(container.path), runtime, isThere, isAgain).then((answer) => {
      asking.delete(asked);
      container.isBeingAsked = false;
      const told = underManager(answer, runtime);
      if (this.#table.isNamesake(container)) container.metadata = null;
      else if (told !== null && this.#isNews(container, told)) container.metadata = told;
      answered();
    });
    asking.add(asked);
  }

  /** What is told of a free id may be of the container that was made again under it. */
  #isNews(container: Container, told: ContainerMetadata): boolean {
    if (isWorseTold(told, container.metadata)) return false;
    return isHexId(container.path.containerId) || !this.#table.isOutlived(container);
  }

  /** Resolves when every container whose verdict waits for an answer now has been judged. */
  async settled(): Promise<void> {
    await Promise.all(this.#asking);
  }

  /**
   * Sets verdict, rule and slot, and tells a traced container's resource; false when no slot is free. One that was allowed
   * before keeps its slot until another needs it: what it opened then ends later.
   */
  judge(container: Container): boolean {
    const { isAllowed, rule } = this.#rules.rules.judge(factsOf(container.path, container.metadata));
    if (isAllowed && container.slot === 0) {
      let slot = this.#slots.take();
      while (slot === 0 && this.#table.freeSlot(container)) slot = this.#slots.take();
      if (slot === 0) return false;
      container.slot = slot;
    }
    container.rule = rule;
    container.verdict = isAllowed ? 'trace' : 'deny';
    if (isAllowed) this.update(container);
    return true;
  }

  /** Tells the resource of a traced container, new or changed. */
  update(container: Container): void {
    const { slot, namespaces, metadata, verdict } = container;
    if (slot === 0 || verdict === 'deny') return;
    const attributes = containerAttributes(container, { ...this.#options, ...this.#rules });
    const droppedCount = droppedLabelCount(metadata, this.#rules.isLabelWanted);
    const resourceBytes = this.#options.encodeResource(attributes, droppedCount);
    this.#options.listener.container(
      { slot, resourceBytes, name: String(attributes['service.name'] ?? ''), namespaces: namespaces.slice() },
      attributes,
      this.#rules.samplingRulesOf?.(factsOf(container.path, container.metadata)) ?? 0,
    );
  }

  giveSlot(container: Container): void {
    if (container.slot === 0) return;
    this.#options.listener.containerGone(container.slot);
    this.#slots.give(container.slot);
    container.slot = 0;
  }

  /** Counts a container that found no place, and says so once. */
  tellFull(): void {
    this.#containersFull += 1;
    if (!this.#isFullTold) this.#options.listener.containersFull(this.#options.containersMax);
    this.#isFullTold = true;
  }
}
