import { randomUUID } from 'node:crypto';
import { type AnsweredPrompt, answeredItem, type PlannedItem, textCompletionBody } from '@app/batches';
import { type ItemResult, isSuccess, type ResultStore } from '@app/results';
import { GatheredResults } from './gathered-results.js';
import { PartResults } from './part-results.js';

/**
 * Makes what is recorded of a batch's lines out of their answered prompts. A chat is one prompt. A text completion has as
 * many as its line says, which may lie in several groups: their answers are gathered beside the batch's results, and the
 * line is recorded, as one text completion, with the last of them. Parts of a long document are gathered alike, and
 * recorded by whoever combines them (`PartCombiner`).
 */
export class LineResults {
  private readonly parts: PartResults;
  private readonly prompts: GatheredResults;

  constructor(private readonly results: ResultStore) {
    this.parts = new PartResults(results);
    this.prompts = new GatheredResults(results, '');
  }

  /** Those of the items that are not answered yet. Records lines that lacked only that. */
  async remaining(batchId: string, items: readonly PlannedItem[]): Promise<PlannedItem[]> {
    const recorded = await this.results.recorded(
      batchId,
      items.map(({ index }) => index),
    );
    const remaining: PlannedItem[] = [];
    for (const item of items) {
      if (recorded.has(item.index)) continue;
      if (item.part !== undefined) {
        if (!(await this.parts.has(batchId, item, item.part.index))) remaining.push(item);
        continue;
      }
      if (await this.isAnswered(batchId, item)) await this.settle(batchId, item);
      else remaining.push(item);
    }
    return remaining;
  }

  async record(batchId: string, item: PlannedItem, result: ItemResult): Promise<void> {
    const { index, prompt, part } = item;
    // What one part cannot be asked, the document cannot.
    if (part !== undefined && isSuccess(result)) await this.parts.record(batchId, item, part.index, result);
    else if (prompt === undefined) await this.results.record(batchId, index, result);
    else if (prompt.of === 1) await this.results.record(batchId, index, lineOf([result]));
    else {
      await this.prompts.record(batchId, item, prompt.number, result);
      await this.settle(batchId, item);
    }
  }

  private async isAnswered(batchId: string, item: PlannedItem): Promise<boolean> {
    const { number, of } = item.prompt ?? { number: 0, of: 1 };
    return of > 1 && this.prompts.has(batchId, item, number);
  }

  /** Records the line once all its prompts are answered, or one could not be. */
  private async settle(batchId: string, item: PlannedItem): Promise<void> {
    const { of } = item.prompt!;
    const gathered = this.prompts.nameOf(batchId, item);
    const { completed, failed } = await this.results.counts(gathered);
    if (failed === 0 && completed < of) return;
    const found = await Promise.all(Array.from({ length: of }, (_, number) => this.results.get(gathered, number)));
    const answers = found.filter((result) => result !== undefined);
    await this.results.record(batchId, item.index, lineOf(answers));
    await this.prompts.settle(batchId, item);
  }
}

/** The first refusal, else all answers as one text completion. */
function lineOf(answers: readonly ItemResult[]): ItemResult {
  const refused = answers.find((answer) => !isSuccess(answer));
  if (refused) return refused;
  const bodies = answers.map(({ response }) => response?.body as AnsweredPrompt);
  const body = textCompletionBody(`cmpl-${randomUUID().replaceAll('-', '')}`, bodies);
  return answeredItem(answers[0]?.custom_id ?? '', body);
}
