import type { PlannedItem } from '@app/batches';
import type { ItemResult, ResultStore } from '@app/results';

/** Longer than any batch lasts: what nobody completes, as its batch was cancelled, goes by itself. */
export const KEPT_SECONDS = 31 * 24 * 3600;
/** A run that still answers one of them may look for the others. */
export const SETTLED_SECONDS = 3600;

/** An item whose answer is made of several. */
export type GatheredItem = Pick<PlannedItem, 'index'>;

/**
 * Answers that make up one item's, gathered in Redis beside the results of its batch, the first of each number stands: they
 * are given in several groups, by several workers, and what a lost one has answered is not asked again.
 */
export class GatheredResults {
  /** @param kind ends the name under which they are gathered */
  constructor(
    protected readonly results: ResultStore,
    private readonly kind: string,
  ) {}

  /** The name that the answers have in place of a batch's id. */
  nameOf(batchId: string, { index }: GatheredItem): string {
    return `${batchId}-${index}${this.kind}`;
  }

  async has(batchId: string, item: GatheredItem, number: number): Promise<boolean> {
    return (await this.results.recorded(this.nameOf(batchId, item), [number])).has(number);
  }

  async record(batchId: string, item: GatheredItem, number: number, result: ItemResult): Promise<void> {
    const name = this.nameOf(batchId, item);
    await this.results.record(name, number, result);
    await this.results.expire(name, KEPT_SECONDS);
  }

  /** Lets them go: the item is answered. */
  async settle(batchId: string, item: GatheredItem): Promise<void> {
    await this.results.expire(this.nameOf(batchId, item), SETTLED_SECONDS);
  }
}
