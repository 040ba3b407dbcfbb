import { type CompressionChoice, chosenCompression, type PolicyBudget } from './compression.js';
import { CUT_OF_ALONE, documentEnd, type EndsLine } from './document-end.js';
import type { GroupPlan, PlannedItem } from './group-plan.js';
import { groupByPrefix } from './prefix-groups.js';

/** The plan of an item that shares its prompt with no other. */
export function planAlone(
  batchId: string,
  ids: Int32Array,
  item: Omit<PlannedItem, 'suffix'>,
  asked: CompressionChoice | undefined,
  configured: PolicyBudget,
  endsLine: EndsLine,
): GroupPlan {
  const prefixLength = documentEnd(ids, groupByPrefix([ids])[0]!.prefixLength, CUT_OF_ALONE, endsLine);
  return {
    batchId,
    model: item.request.model,
    compression: chosenCompression(asked, prefixLength, configured),
    prefix: [...ids.subarray(0, prefixLength)],
    items: [{ ...item, suffix: [...ids.subarray(prefixLength)] }],
  };
}
