import { setImmediate } from 'node:timers/promises';
import type { SurveyedItem } from './batch-survey.js';
import { type LongItem, sharedReserves } from './long-documents.js';

/**
 * The items of a batch with what is too long shortened alike for all prompts about one document, so that they share it.
 * An item whose document is read in parts comes once for each. Those about one document, or one part, sort together.
 * @param partsOf in how many parts an item's document is read
 */
export async function shortenedItems(
  items: readonly SurveyedItem[],
  contextLength: number,
  partsOf: (item: SurveyedItem, long: LongItem) => Promise<number>,
): Promise<readonly SurveyedItem[]> {
  const tooLong = items.flatMap((item) => item.tooLong.filter((long) => long !== undefined));
  if (tooLong.length === 0) return items;
  const shared = sharedReserves(tooLong, contextLength);
  const counts = new Map<string, number>();
  const shortened: SurveyedItem[] = [];
  for (const surveyed of items) {
    const item = { ...surveyed, tooLong: surveyed.tooLong.map((long) => long && shared(long)) };
    const long = item.tooLong.find((each) => each !== undefined);
    if (long === undefined) {
      shortened.push(item);
      continue;
    }
    const of = `${long.key}:${long.reserve}`;
    const parts = counts.get(of) ?? (await partsOf(item, long));
    counts.set(of, parts);
    const ladder = (part: number): string => `${of}:${String(part).padStart(6, '0')}:${item.ladder}`;
    if (parts === 0) shortened.push({ ...item, ladder: ladder(0) });
    for (let part = 0; part < parts; part++) shortened.push({ ...item, part, ladder: ladder(part) });
    await setImmediate();
  }
  return shortened;
}
