import type { ItemResult, ResultStore } from '@app/results';
import { type GatheredItem, GatheredResults, KEPT_SECONDS, SETTLED_SECONDS } from './gathered-results.js';

/** The answers to the parts of documents, and which group combines them. */
export class PartResults extends GatheredResults {
  constructor(results: ResultStore) {
    super(results, '-parts');
  }

  /** The answers to the parts `from` to `to`, without it; undefined while one is missing. */
  async read(batchId: string, item: GatheredItem, from: number, to: number): Promise<ItemResult[] | undefined> {
    const name = this.nameOf(batchId, item);
    const parts = Array.from({ length: to - from }, (_, i) => from + i);
    if ((await this.results.recorded(name, parts)).size < parts.length) return undefined;
    const found = await Promise.all(parts.map((part) => this.results.get(name, part)));
    return found.every((result) => result !== undefined) ? found : undefined;
  }

  /**
   * Whether it is for this group to combine them: for the first that asks, in every run of it, and for no other. Its job does
   * not end before it has.
   */
  async isTakenBy(group: string, batchId: string, item: GatheredItem): Promise<boolean> {
    const takers = this.takersOf(batchId, item);
    const taker: ItemResult = { id: group, custom_id: null, response: null, error: null };
    const { first } = await this.results.record(takers, 0, taker);
    await this.results.expire(takers, KEPT_SECONDS);
    return first || (await this.results.get(takers, 0))?.id === group;
  }

  override async settle(batchId: string, item: GatheredItem): Promise<void> {
    await super.settle(batchId, item);
    await this.results.expire(this.takersOf(batchId, item), SETTLED_SECONDS);
  }

  /** Under which is written who combines them. */
  private takersOf(batchId: string, item: GatheredItem): string {
    return `${this.nameOf(batchId, item)}-taker`;
  }
}
