import fc from 'fast-check';
import { expect, test } from 'vitest';
import { argmax } from './sampler.js';
import { allows, MaskedPrediction } from './token-mask.js';

test('a masked prediction is the one that the allowed tokens alone would give', () => {
  const masked = new MaskedPrediction();
  const values = fc.array(fc.tuple(fc.integer({ min: -40, max: 40 }), fc.boolean()), { minLength: 70, maxLength: 70 });
  fc.assert(
    fc.property(
      values.filter((tokens) => tokens.some(([, allowed]) => allowed)),
      (tokens) => {
        const mask = new Int32Array(3);
        for (const [i, [, allowed]] of tokens.entries()) if (allowed) mask[i >> 5]! |= 1 << (i & 31);
        const weights = tokens.map(([value]) => Math.exp(value));
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        const logits = Float32Array.from(tokens, ([value]) => value);
        const probabilities = Float32Array.from(weights, (weight) => weight / total);
        const restricted = masked.restrict({ logits, probabilities }, mask);
        const likeliest = argmax(restricted.logits);
        for (const [i, [value, allowed]] of tokens.entries()) {
          expect(allows(mask, i)).toBe(allowed);
          expect(restricted.probabilities![i]! > 0 && !allowed).toBe(false);
          if (allowed) expect(value).toBeLessThanOrEqual(tokens[likeliest]![0]);
        }
        expect(tokens[likeliest]![1]).toBe(true);
        expect(restricted.probabilities!.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 5);
        const kept = weights.reduce((sum, weight, i) => sum + (tokens[i]![1] ? weight : 0), 0);
        if (kept / total > 1e-6) {
          expect(restricted.probabilities![likeliest]).toBeCloseTo(weights[likeliest]! / kept, 4);
        }
      },
    ),
  );
});
