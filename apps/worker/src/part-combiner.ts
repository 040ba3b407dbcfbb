import {
  type CombinedAnswers,
  combineText,
  fillFrame,
  type GroupPlan,
  mapOptions,
  nextStep,
  type PartAnswer,
  type PartialAnswer,
  type PlannedItem,
  type PlannedPart,
  planAlone,
} from '@app/batches';
import { Config } from '@app/config';
import { type ItemResult, ResultStore } from '@app/results';
import { Inject, Injectable } from '@nestjs/common';
import { type AnswerOptions, GroupAnswerer } from './group-answerer.js';
import { PartResults } from './part-results.js';
import { type ModelPromptEncoder, PROMPT_ENCODER } from './prompt-encoder.js';

/** As many documents as the engine decodes in one run. */
const AT_ONCE = 4;

/** What of the answer to a part is read here. */
interface PartBody {
  readonly choices: readonly [{ readonly message: { readonly content: string }; readonly finish_reason: string }];
  readonly usage: {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
    readonly prompt_tokens_details: { readonly cached_tokens: number };
    readonly truncation: { readonly kept: number };
  };
}

type Part = PlannedItem & { readonly part: PlannedPart };

/**
 * Answers items whose document was read in parts, once all parts are answered. The first group that finds them all does it,
 * in the same job: should it be lost, the job's next run finds the parts and combines them.
 */
@Injectable()
export class PartCombiner {
  private readonly parts: PartResults;

  constructor(
    private readonly config: Config,
    private readonly results: ResultStore,
    @Inject(PROMPT_ENCODER) private readonly encoder: ModelPromptEncoder,
    private readonly groups: GroupAnswerer,
  ) {
    this.parts = new PartResults(results);
  }

  /**
   * Combines what of the plan's items can be by now: nothing where they are not parts.
   * @param group names the group within its batch
   * @throws as `GroupAnswerer.answer`
   */
  async combine(plan: GroupPlan, group: string, options: AnswerOptions = {}): Promise<void> {
    const items = new Map(plan.items.filter(isPart).map((item) => [item.index, item])).values();
    const combine = async (): Promise<void> => {
      for (const item of items) await this.combineItem(plan.batchId, item, group, options);
    };
    const ends = await Promise.allSettled(Array.from({ length: AT_ONCE }, combine));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  private async combineItem(batchId: string, item: Part, group: string, options: AnswerOptions): Promise<void> {
    const { of, combination } = item.part;
    const answered: ItemResult[] = [];
    let waiting: PartialAnswer[] = Array.from({ length: of }, (_, part) => ({ first: part, last: part, content: '' }));
    for (let to = of; ; ) {
      if ((await this.results.recorded(batchId, [item.index])).has(item.index)) return;
      const found = await this.parts.read(batchId, item, to - waiting.length, to);
      if (found === undefined || !(await this.parts.isTakenBy(group, batchId, item))) return;
      answered.push(...found);
      const answers = waiting.map((answer, i) => ({ ...answer, content: contentOf(found[i]!) }));
      const { isLast, packs } = await nextStep(answers, of, combination, this.encoder);
      if (isLast) {
        const last = await this.plan(batchId, item, packs[0]!, { combined: combinedAnswers(answered, of) });
        await this.groups.answer(last, `${group}/${item.index}`, options);
        return this.parts.settle(batchId, item);
      }
      const { onPiece: _onPiece, ...silently } = options;
      for (const [i, pack] of packs.entries()) {
        const index = to + i;
        const request = mapOptions(combination.request, this.encoder.contextLength);
        const part = await this.plan(batchId, item, pack, { request, part: { ...item.part, index } });
        await this.groups.answer(part, `${group}/${item.index}-${index}`, silently);
      }
      waiting = packs.map((pack) => ({ first: pack[0]!.first, last: pack.at(-1)!.last, content: '' }));
      to += packs.length;
    }
  }

  /** The prompt that combines answers, as the plan of a group of its own. */
  private async plan(
    batchId: string,
    { index, customId, part: { of, combination } }: Part,
    answers: readonly PartialAnswer[],
    change: Partial<PlannedItem>,
  ): Promise<GroupPlan> {
    const { frame, request, compression, tokens } = combination;
    const ids = await this.encoder.encode(fillFrame(frame, combineText(answers, of)));
    const truncation = { mode: 'map_reduce', tokens, kept: tokens } as const;
    const item = { index, customId, request, truncation, ...change };
    return planAlone(batchId, ids, item, compression, this.config.compression, this.encoder.endsLine);
  }
}

const isPart = (item: PlannedItem): item is Part => item.part !== undefined;

const bodyOf = ({ response }: ItemResult): PartBody => response?.body as PartBody;
const contentOf = (result: ItemResult): string => bodyOf(result).choices[0].message.content;

/** @param answered in order; the first `of` are the parts of the document, the others combined some of them */
function combinedAnswers(answered: readonly ItemResult[], of: number): CombinedAnswers {
  const bodies = answered.map(bodyOf);
  const sum = (count: (usage: PartBody['usage']) => number): number =>
    bodies.reduce((total, { usage }) => total + count(usage), 0);
  const parts = bodies.slice(0, of).map(
    ({ choices: [{ message, finish_reason }], usage }, index): PartAnswer => ({
      index,
      tokens: usage.truncation.kept,
      content: message.content,
      finish_reason,
    }),
  );
  const usage = {
    promptTokens: sum((each) => each.prompt_tokens),
    completionTokens: sum((each) => each.completion_tokens),
    cachedTokens: sum((each) => each.prompt_tokens_details.cached_tokens),
  };
  return { parts, usage };
}
