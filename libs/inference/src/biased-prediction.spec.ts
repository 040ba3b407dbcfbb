import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BiasedPrediction } from './biased-prediction.js';

test('biases and penalties add to the logits before the temperature, token by token', () => {
  const small = fc.integer({ min: -2, max: 2 });
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 5, maxLength: 20 }),
      fc.array(fc.tuple(fc.nat(4), fc.integer({ min: -100, max: 100 })), { maxLength: 3 }),
      small,
      small,
      fc.array(fc.nat(4), { maxLength: 6 }),
      fc.constantFrom(0, 0.5, 1, 2),
      (values, tokens, frequency, presence, said, temperature) => {
        const biased = new BiasedPrediction({ tokens, frequency, presence }, temperature);
        for (const token of said) biased.count(token);
        const logits = Float32Array.from(values);
        const expected = values.map((value, token) => {
          const count = said.filter((each) => each === token).length;
          const bias = tokens.reduce((sum, [each, add]) => sum + (each === token ? add : 0), 0);
          return value + bias - count * frequency - (count > 0 ? presence : 0);
        });
        for (let twice = 0; twice < 2; twice++) {
          const found = biased.apply({ logits, probabilities: undefined });
          expect([...found.logits]).toEqual(expected);
          if (temperature === 0) {
            expect(found.probabilities).toBeUndefined();
            continue;
          }
          const largest = Math.max(...expected);
          const weights = expected.map((value) => Math.exp((value - largest) / temperature));
          const total = weights.reduce((sum, weight) => sum + weight, 0);
          for (const [token, weight] of weights.entries()) {
            expect(found.probabilities![token]).toBeCloseTo(weight / total, 5);
          }
        }
        expect([...logits]).toEqual(values);
      },
    ),
  );
});
