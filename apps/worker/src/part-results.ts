import type { PlannedItem } from '@app/batches';
import type { ItemResult, ResultStore } from '@app/results';

/** Longer than any batch lasts: parts of an item that nobody combines, as its batch was cancelled, go by themselves. */
const KEPT_SECONDS = 31 * 24 * 3600;
/** A run that still answers another part may look for the others. */
const SETTLED_SECONDS = 3600;

type Item = Pick<PlannedItem, 'index'>;

/**
 * The answers to the parts of documents, gathered in Redis beside the results of their batch, the first of each part
 * stands: parts are answered in several groups, by several workers, and what a lost one has answered is not asked again.
 */
export class PartResults {
  constructor(private readonly results: ResultStore) {}

  async has(batchId: string, item: Item, part: number): Promise<boolean> {
    return (await this.results.recorded(partsOf(batchId, item), [part])).has(part);
  }

  async record(batchId: string, item: Item, part: number, result: ItemResult): Promise<void> {
    const gathered = partsOf(batchId, item);
    await this.results.record(gathered, part, result);
    await this.results.expire(gathered, KEPT_SECONDS);
  }

  /** The answers to the parts `from` to `to`, without it; undefined while one is missing. */
  async read(batchId: string, item: Item, from: number, to: number): Promise<ItemResult[] | undefined> {
    const gathered = partsOf(batchId, item);
    const parts = Array.from({ length: to - from }, (_, i) => from + i);
    if ((await this.results.recorded(gathered, parts)).size < parts.length) return undefined;
    const found = await Promise.all(parts.map((part) => this.results.get(gathered, part)));
    return found.every((result) => result !== undefined) ? found : undefined;
  }

  /**
   * Whether it is for this group to combine them: for the first that asks, in every run of it, and for no other. Its job does
   * not end before it has.
   */
  async isTakenBy(group: string, batchId: string, item: Item): Promise<boolean> {
    const takers = takersOf(batchId, item);
    const taker: ItemResult = { id: group, custom_id: null, response: null, error: null };
    const { first } = await this.results.record(takers, 0, taker);
    await this.results.expire(takers, KEPT_SECONDS);
    return first || (await this.results.get(takers, 0))?.id === group;
  }

  /** Lets them go: the item is answered. */
  async settle(batchId: string, item: Item): Promise<void> {
    await this.results.expire(partsOf(batchId, item), SETTLED_SECONDS);
    await this.results.expire(takersOf(batchId, item), SETTLED_SECONDS);
  }
}

/** Under which the answers to the parts of an item are gathered. */
const partsOf = (batchId: string, { index }: Item): string => `${batchId}-${index}-parts`;
/** Under which is written who combines them. */
const takersOf = (batchId: string, item: Item): string => `${partsOf(batchId, item)}-taker`;
