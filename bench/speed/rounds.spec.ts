import { expect, test } from 'vitest';
import { measureRounds, type Trial } from './rounds.js';

test('trials take turns, in turned order every other round', async () => {
  const done: string[] = [];
  const trial = (variant: string): Trial => {
    const figure = { section: 'prefill', side: 'peer', variant, unit: 's' } as const;
    return {
      figures: [
        { ...figure, work: 'so far' },
        { ...figure, work: 'ten more' },
      ],
      once: async () => {
        done.push(variant);
        return [done.length, done.length + 10];
      },
    };
  };
  const lines: string[] = [];
  const settings = { rounds: 3, others: 1, patience: 1, retries: 3 };
  const found = await measureRounds(
    [trial('a'), trial('b')],
    settings,
    () => [process.pid],
    (line) => lines.push(line),
  );
  expect(done.join('')).toBe('abbaab');
  expect(found.map(({ variant, work, values }) => [variant, work, values])).toEqual([
    ['a', 'so far', [1, 4, 5]],
    ['a', 'ten more', [11, 14, 15]],
    ['b', 'so far', [2, 3, 6]],
    ['b', 'ten more', [12, 13, 16]],
  ]);
  for (const { others } of found) expect(others).toHaveLength(3);
  expect(lines).toHaveLength(3);
});
