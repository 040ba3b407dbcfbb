import { describe, expect, it } from 'vitest';
import { askedCompression, type CompressionRequest, chosenCompression, compressionKey } from './compression.js';

const configured = { policy: 'h2o', budget: 0.35 };
const full = { policy: 'full', budget: 1, questions: 'seen', reading: 'exact' };

function chosen(prefixTokens: number, line?: CompressionRequest, batch?: CompressionRequest) {
  return chosenCompression(askedCompression(line, batch, configured), prefixTokens, configured);
}

describe('compression', () => {
  it('completes what was asked from the batch, then from the configuration', () => {
    expect(chosen(300, { budget: 0.5 }, { policy: 'snapkv', budget: 0.2, reading: 'merging' })).toEqual({
      policy: 'snapkv',
      budget: 0.5,
      questions: 'seen',
      reading: 'merging',
    });
    expect(chosen(9000, { policy: 'full' }, { policy: 'snapkv' })).toEqual(full);
    expect(chosen(9000)).toEqual({ ...configured, questions: 'seen', reading: 'exact' });
  });

  it('leaves short prefixes whole unless a policy or a budget was named', () => {
    expect([chosen(1023), chosen(1023, { questions: 'unseen' }), chosen(1023, {}, { reading: 'merging' })]).toEqual([
      full,
      full,
      full,
    ]);
    expect(chosen(1024, { questions: 'unseen' })).toEqual({ ...configured, questions: 'unseen', reading: 'exact' });
    expect(chosen(300, { questions: 'unseen' }, { budget: 0.35 })).toEqual(chosen(1024, { questions: 'unseen' }));
  });

  it('keeps items apart that would not get the same', () => {
    const key = (line?: CompressionRequest) => compressionKey(askedCompression(line, undefined, configured));
    const keys = [undefined, {}, { budget: 0.35 }, { questions: 'unseen' }, { policy: 'full' }] as const;
    expect(new Set(keys.map(key)).size).toBe(keys.length);
    expect(key({ policy: 'h2o' })).toBe(key({ budget: 0.35 }));
  });
});
