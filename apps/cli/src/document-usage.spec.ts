import { expect, it } from 'vitest';
import { usageByDocument } from './document-usage.js';
import type { ResultRow } from './longhaul-client.js';

async function* all<T>(values: readonly T[]): AsyncGenerator<T> {
  yield* values;
}

it('adds up the answers of each document, caches apart', async () => {
  const row = (custom_id: string, document: string | null): ResultRow => ({
    custom_id,
    document,
    question: 'Who?',
    answer: 'I.',
    finish_reason: 'stop',
    error: null,
  });
  const full = { policy: 'full', budget: 1, tokens: 100, entries: 100, bytes: 9000 };
  const merged = { policy: 'calibrated-merge', budget: 0.35, tokens: 100, entries: 35, bytes: 3200 };
  const answer = (custom_id: string, cached: number, kv_cache: typeof full, prefill_seconds: number) => ({
    custom_id,
    response: {
      body: {
        usage: {
          prompt_tokens: 110,
          completion_tokens: 5,
          prompt_tokens_details: { cached_tokens: cached },
          kv_cache,
          timing: { prefill_seconds, compress_seconds: 0.5 * prefill_seconds },
        },
      },
    },
  });
  const usage = await usageByDocument(
    all([row('a#1', 'a.pdf'), row('a#2', 'a.pdf'), row('a#3', 'a.pdf'), row('b#1', null)]),
    all([
      answer('a#1', 0, full, 2),
      answer('b#1', 100, full, 0),
      answer('a#2', 100, full, 0),
      answer('a#3', 100, merged, 0),
      { custom_id: 'a#4', response: null },
    ]),
  );
  const one = { items: 1, read_tokens: 10, cached_tokens: 100, answer_tokens: 5, prefill_seconds: 0 };
  expect(usage).toEqual([
    {
      document: 'a.pdf',
      items: 2,
      read_tokens: 120,
      cached_tokens: 100,
      answer_tokens: 10,
      prefill_seconds: 3,
      kv_cache: full,
    },
    { document: null, ...one, kv_cache: full },
    { document: 'a.pdf', ...one, kv_cache: merged },
  ]);
});
