import { IO, type LlamaShape } from '@app/onnx-graph';
import fc from 'fast-check';
import type { Tensor } from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { Tails } from './tails.js';

const shape = { layers: 2, kvHeads: 3, headSize: 2 } as LlamaShape;
const tokenSize = shape.kvHeads * shape.headSize;

/** What a run gives for `tokens` tokens: every value another one. */
let next = 1;
function fresh(tokens: number): Float32Array {
  return Float32Array.from({ length: 2 * shape.layers * tokens * tokenSize }, () => next++);
}

/** The slow reference: each item a list of tokens, each token its values of all keys and values. */
type Reference = { tokens: number[][][] }[];

function row(entries: Float32Array, token: number): number[][] {
  const size = entries.length / (2 * shape.layers);
  return Array.from({ length: 2 * shape.layers }, (_, i) => {
    const from = i * size + token * tokenSize;
    return [...entries.slice(from, from + tokenSize)];
  });
}

function expectEqual(tails: Tails, reference: Reference): void {
  expect(tails.items).toBe(reference.length);
  const feeds = tails.feeds();
  const names = Array.from({ length: shape.layers }, (_, layer) => [IO.tailKey(layer), IO.tailValue(layer)]).flat();
  for (const [index, name] of names.entries()) {
    const { dims, data } = feeds[name] as Tensor & { data: Float32Array };
    expect(dims).toEqual([reference.length, shape.kvHeads, tails.capacity, shape.headSize]);
    for (const [item, { tokens }] of reference.entries()) {
      expect(tails.lengthOf(item)).toBe(tokens.length);
      for (const [t, values] of tokens.entries()) {
        for (let i = 0; i < tokenSize; i++) {
          const [head, d] = [Math.floor(i / shape.headSize), i % shape.headSize];
          const found = data[((item * shape.kvHeads + head) * tails.capacity + t) * shape.headSize + d];
          if (found !== values[index]![i]) expect.fail(`item ${item}, token ${t}, value ${i} of ${name}`);
        }
      }
    }
  }
}

describe('tails', () => {
  test('keep every token of every item, whoever comes, grows and goes', () => {
    const action = fc.oneof(
      fc.constant({ kind: 'add' as const }),
      fc.record({ kind: fc.constant('append' as const), item: fc.nat(9), tokens: fc.integer({ min: 1, max: 90 }) }),
      fc.record({ kind: fc.constant('step' as const) }),
      fc.record({ kind: fc.constant('remove' as const), item: fc.nat(9) }),
      fc.record({ kind: fc.constant('adopt' as const), tokens: fc.integer({ min: 1, max: 200 }) }),
    );
    fc.assert(
      fc.property(fc.array(action, { minLength: 5, maxLength: 30 }), (actions) => {
        const tails = new Tails(shape);
        const reference: Reference = [];
        for (const done of actions) {
          if (done.kind === 'add') {
            tails.add();
            reference.push({ tokens: [] });
          } else if (done.kind === 'adopt') {
            const other = new Tails(shape);
            other.add();
            const entries = fresh(done.tokens);
            other.append(0, entries, 0, done.tokens);
            tails.adopt(other);
            reference.push({ tokens: Array.from({ length: done.tokens }, (_, t) => row(entries, t)) });
          } else if (done.kind === 'step') {
            const entries = fresh(reference.length);
            for (const [item, { tokens }] of reference.entries()) {
              tails.append(item, entries, item, 1);
              tokens.push(row(entries, item));
            }
          } else if (reference.length > 0 && done.kind === 'append') {
            const entries = fresh(done.tokens + 1);
            const item = done.item % reference.length;
            tails.append(item, entries, 1, done.tokens);
            for (let t = 0; t < done.tokens; t++) reference[item]!.tokens.push(row(entries, 1 + t));
          } else if (reference.length > 0 && done.kind === 'remove') {
            const item = done.item % reference.length;
            tails.remove(item);
            reference[item] = reference.at(-1)!;
            reference.pop();
          }
        }
        expectEqual(tails, reference);
      }),
      { numRuns: 60 },
    );
  });

  test('hold no more room than the longest item may need', () => {
    const tails = new Tails(shape);
    tails.add();
    tails.add();
    tails.append(0, fresh(500), 0, 500);
    tails.append(1, fresh(10), 0, 10);
    expect(tails.capacity).toBe(512);
    tails.remove(0);
    expect(tails.capacity).toBe(64);
    expect(tails.lengthOf(0)).toBe(10);
  });
});
