import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { largest, logSumExp } from './logprobs.js';
import { seededRandom } from './random.js';
import { argmax, createSampler, sampleNucleus } from './sampler.js';

/** Far enough apart that the probabilities of two different ones are never rounded to the same. */
const logits = fc
  .array(fc.integer({ min: -512, max: 512 }), { minLength: 1, maxLength: 40 })
  .map((x) => Float32Array.from(x, (value) => value / 64));

/** The definition: sort by probability, keep the shortest head that reaches topP, renormalise, walk the cumulative sum. */
function slowNucleus(values: Float32Array, temperature: number, topP: number): Map<number, number> {
  const weights = [...values].map((value, token) => ({ token, weight: Math.exp(value / temperature) }));
  const total = weights.reduce((sum, { weight }) => sum + weight, 0);
  weights.sort((a, b) => b.weight - a.weight || a.token - b.token);
  const kept: typeof weights = [];
  for (let mass = 0; kept.length < weights.length && (topP >= 1 || mass < topP); ) {
    const next = weights[kept.length]!;
    kept.push(next);
    mass += next.weight / total;
  }
  const mass = kept.reduce((sum, { weight }) => sum + weight, 0);
  return new Map(kept.map(({ token, weight }) => [token, weight / mass]));
}

/** What the graph gives. */
function softmax(values: Float32Array, temperature: number): Float32Array {
  const all = slowNucleus(values, temperature, 1);
  return Float32Array.from(values, (_, token) => all.get(token)!);
}

describe('sampling', () => {
  test('greedy takes the first of the largest', () => {
    const logits = Float32Array.of(1, 5, 5, 2);
    expect(createSampler({ temperature: 0, topP: 1 })({ logits, probabilities: undefined })).toBe(1);
  });

  test('only tokens of the nucleus are drawn, whatever the draw', () => {
    fc.assert(
      fc.property(
        logits,
        fc.double({ min: 0.1, max: 3, noNaN: true }),
        fc.double({ min: 0.05, max: 1, noNaN: true }),
        (values, temperature, topP) => {
          const allowed = slowNucleus(values, temperature, Math.min(1, topP + 1e-6));
          const probabilities = softmax(values, temperature);
          for (let i = 0; i < 20; i++) {
            expect(allowed.has(sampleNucleus(probabilities, topP, i / 20))).toBe(true);
          }
        },
      ),
    );
  });

  test('tokens are drawn as often as their probability says', () => {
    const values = Float32Array.of(0, 1, 2, -1);
    for (const [temperature, topP] of [
      [1, 1],
      [0.5, 1],
      [2, 0.8],
    ] as const) {
      const expected = slowNucleus(values, temperature, topP);
      const probabilities = softmax(values, temperature);
      const draws = 20_000;
      const counts = new Map<number, number>();
      for (let i = 0; i < draws; i++) {
        const token = sampleNucleus(probabilities, topP, (i + 0.5) / draws);
        counts.set(token, (counts.get(token) ?? 0) + 1);
      }
      for (const [token, probability] of expected) expect((counts.get(token) ?? 0) / draws).toBeCloseTo(probability, 3);
    }
  });

  test('a seed gives the same tokens again, another seed others', () => {
    const logits = Float32Array.from({ length: 1000 }, (_, i) => Math.sin(i));
    const probabilities = softmax(logits, 1);
    const draw = (seed: number) => {
      const sample = createSampler({ temperature: 1, topP: 0.9, seed });
      return Array.from({ length: 20 }, () => sample({ logits, probabilities }));
    };
    expect(draw(42)).toEqual(draw(42));
    expect(draw(42)).not.toEqual(draw(43));
    expect(draw(1)).not.toEqual(draw(2 ** 32 + 1));
  });

  test('a draw that rounding leaves over gives a token that can be drawn', () => {
    expect(sampleNucleus(Float32Array.of(0.3, 0.6999999, 0), 1, 1 - 2 ** -53)).toBe(1);
    expect(sampleNucleus(Float32Array.of(0.3, 0.6999999, 0), 0, 0.9)).toBe(1);
  });

  test('random numbers are spread evenly over [0, 1)', () => {
    const random = seededRandom(3);
    const buckets = new Array<number>(10).fill(0);
    for (let i = 0; i < 50_000; i++) buckets[Math.floor(random() * 10)]!++;
    for (const count of buckets) expect(Math.abs(count - 5000)).toBeLessThan(300);
  });
});

describe('log-probabilities', () => {
  test('exponentials of logits above their norm sum to one', () => {
    fc.assert(
      fc.property(logits, (values) => {
        const norm = logSumExp(values);
        expect([...values].reduce((sum, value) => sum + Math.exp(value - norm), 0)).toBeCloseTo(1, 6);
      }),
    );
  });

  test('largest is a sort cut short', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 1 }), fc.nat(8), (values, count) => {
        const sorted = values.map((_, i) => i).sort((a, b) => values[b]! - values[a]! || a - b);
        expect(largest(Float32Array.from(values), count)).toEqual(sorted.slice(0, count));
        expect(argmax(Float32Array.from(values))).toBe(sorted[0]);
      }),
    );
  });
});
