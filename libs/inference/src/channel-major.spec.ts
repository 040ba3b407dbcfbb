import fc from 'fast-check';
import { expect, test } from 'vitest';
import { channelMajor } from './channel-major.js';

test('every value is found at its channel and entry', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 1, max: 70 }), (entries, channels) => {
      const turned = channelMajor(
        Float32Array.from({ length: entries * channels }, (_, i) => i),
        entries,
        channels,
      );
      const expected: number[] = [];
      for (let c = 0; c < channels; c++) for (let e = 0; e < entries; e++) expected.push(e * channels + c);
      expect([...turned]).toEqual(expected);
    }),
    { numRuns: 30 },
  );
});
