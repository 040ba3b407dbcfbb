import { expect, it } from 'vitest';
import { BatchProgress } from './batch-progress.js';
import type { Batch } from './longhaul-client.js';

const batch = (status: string, completed: number, failed: number, tokens: number): Batch => ({
  id: 'batch_1',
  status,
  model: 'm',
  created_at: 0,
  input_file_id: 'file-1',
  output_file_id: null,
  error_file_id: null,
  errors: null,
  request_counts: { total: 40, completed, failed },
  usage: { input_tokens: 0, output_tokens: tokens },
  metadata: null,
});

it('counts rates and the time left from what has moved since it began to look', () => {
  const progress = new BatchProgress();
  progress.update({ ...batch('validating', 0, 0, 0), request_counts: { total: 0, completed: 0, failed: 0 } }, 0);
  expect([progress.share, progress.texts[0]]).toEqual([0, 'validating']);
  // It was looked at in the middle: what was done before took nobody knows how long.
  progress.update(batch('in_progress', 10, 0, 500), 5_000);
  expect([progress.share, progress.texts[0]]).toEqual([0.25, 'in progress  10/40 items']);
  progress.update(batch('in_progress', 18, 2, 820), 25_000);
  expect(progress.share).toBe(0.5);
  // 10 items and 320 tokens in 20 s, 20 items to go
  expect(progress.texts[0]).toBe('in progress  20/40 items  2 failed  0.50 items/s  16 tokens/s  about 0:40 left');
  expect(progress.texts.slice(1)).toEqual([
    '20/40 items  2 failed  0.50 items/s  16 tokens/s  about 0:40 left',
    '20/40 items  2 failed  0.50 items/s  about 0:40 left',
    '20/40 items  2 failed  about 0:40 left',
  ]);
  progress.update(batch('in_progress', 18, 2, 820), 35_000, 0);
  expect(progress.texts).toEqual([
    'in progress  20/40 items  2 failed  no worker is connected',
    '20/40 items  2 failed  no worker is connected',
    'no worker is connected',
  ]);
  progress.update(batch('completed', 38, 2, 1300), 55_000);
  expect(progress.texts[0]).toBe('completed  40/40 items  2 failed  0.60 items/s  16 tokens/s');
  expect(progress.texts.at(-1)).toBe('completed  40/40 items  2 failed');
});
