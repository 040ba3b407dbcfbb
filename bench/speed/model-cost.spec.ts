import { describe, expect, test } from 'vitest';
import { decodeCost, layerWeights, prefillCost, secondsAtRoofline } from './model-cost.js';

const shape = { layers: 2, hidden: 12, queryHeads: 6, kvHeads: 2, headSize: 2, feedForward: 20, vocabulary: 30 };

/** Counts multiply-adds loop by loop, as a naive implementation would execute them. */
function countedPrefill(tokens: number): { linear: number; attention: number } {
  const { layers, hidden, queryHeads, kvHeads, headSize, feedForward } = shape;
  const product = (rows: number, columns: number) => 2 * rows * columns;
  let [linear, attention] = [0, 0];
  for (let layer = 0; layer < layers; layer++) {
    for (let query = 0; query < tokens; query++) {
      linear += product(queryHeads * headSize, hidden) + 2 * product(kvHeads * headSize, hidden);
      linear += product(hidden, queryHeads * headSize);
      linear += 2 * product(feedForward, hidden) + product(hidden, feedForward);
      for (let head = 0; head < queryHeads; head++) {
        for (let key = 0; key <= query; key++) attention += 2 * headSize + 2 * headSize;
      }
    }
  }
  return { linear, attention };
}

describe('cost of a model', () => {
  test('of reading is what a naive implementation executes', () => {
    for (const tokens of [1, 2, 7]) {
      const { linearFlops, attentionFlops } = prefillCost(shape, tokens);
      expect({ linear: linearFlops, attention: attentionFlops }).toEqual(countedPrefill(tokens));
    }
  });

  test('of a step is one more token of reading, its logits, and every weight and entry read once', () => {
    const held = { weightBytes: 1.125, entryBytes: 20 };
    const step = decodeCost(shape, 9, held);
    const reading = { ten: prefillCost(shape, 10), nine: prefillCost(shape, 9) };
    expect(step.linearFlops).toBe(reading.ten.linearFlops - reading.nine.linearFlops + 2 * 30 * 12);
    // the tenth token meets nine entries and itself
    expect(decodeCost(shape, 10, held).attentionFlops).toBe(reading.ten.attentionFlops - reading.nine.attentionFlops);
    expect(step.bytes).toBe(1.125 * (layerWeights(shape) + 360) + 20 * 2 * 2 * 9);
    const eight = decodeCost(shape, 9, held, 8);
    expect(eight.bytes).toBe(step.bytes);
    expect(eight.linearFlops).toBe(8 * step.linearFlops);
    expect(eight.attentionFlops).toBe(8 * step.attentionFlops);
  });

  test('in seconds is bound by compute or by memory, whichever is slower', () => {
    const roofline = { int8Flops: 100, floatFlops: 50, memoryBytes: 10 };
    expect(secondsAtRoofline({ linearFlops: 200, attentionFlops: 50, bytes: 1 }, roofline)).toBe(3);
    expect(secondsAtRoofline({ linearFlops: 200, attentionFlops: 50, bytes: 70 }, roofline)).toBe(7);
  });
});
