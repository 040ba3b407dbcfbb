import { describe, expect, test } from 'vitest';
import { lengthPlot } from './length-plot.js';
import type { Measurement } from './measurement.js';
import { report, type SpeedResults } from './report.js';

const row = (more: Partial<Measurement> & Pick<Measurement, 'section' | 'work' | 'side' | 'values'>): Measurement => ({
  variant: 'setting',
  unit: 's/token',
  others: more.values.map(() => 0.02),
  ...more,
});
const prefill = { section: 'prefill', work: '1000 tokens', tokens: 1000 } as const;
const decode = { section: 'decode', work: '1000 keys', tokens: 1000 } as const;
const kept = { section: 'reading', work: 'cache of 1000', unit: 'kv bytes' } as const;
const measurements: Measurement[] = [
  row({ ...prefill, side: 'longhaul', variant: 'exact', values: [0.001, 0.002, 0.001] }),
  row({ ...prefill, side: 'peer', variant: 'slow', values: [0.009, 0.009, 0.009] }),
  row({ ...prefill, side: 'peer', variant: 'fast', values: [0.002, 0.002, 0.003] }),
  row({ ...decode, side: 'longhaul', variant: '35 % kept', entries: 350, values: [0.008, 0.008, 0.008] }),
  row({ ...decode, side: 'peer', variant: 'fast', entries: 1000, values: [0.016, 0.016, 0.016] }),
  row({ ...kept, side: 'longhaul', variant: 'full cache', values: [2e8] }),
  row({ ...kept, side: 'longhaul', variant: '35 % kept', values: [7e7] }),
  row({ section: 'batch', work: 'answers', side: 'peer', unit: 'tokens', values: [512] }),
];
const shape = {
  layers: 1,
  hidden: 10,
  queryHeads: 1,
  kvHeads: 1,
  headSize: 10,
  feedForward: 10,
  vocabulary: 30,
};
const results: SpeedResults = {
  date: '2026-01-01T00:00',
  machine: { cpu: 'some', cores: 2 },
  settings: {},
  shape,
  held: { longhaul: { weightBytes: 1, entryBytes: 100 }, peer: { weightBytes: 1, entryBytes: 50 } },
  // a step has 2 * (700 + 300) operations and 1000 + 35000 bytes of ours: 4 ms of memory, less of compute
  rates: { roofline: { int8Flops: 2e6, floatFlops: 7e6, memoryBytes: 9e6 }, kernels: [] },
  measurements,
  profiles: [
    {
      case: '1000 tokens',
      phase: 'prefill',
      wallSeconds: 2,
      graphSeconds: 1.5,
      nodeSeconds: 1,
      runs: 4,
      operators: [{ operator: 'Gemm', place: '/layers.*/Gemm', seconds: 0.8, executions: 30 }],
    },
  ],
};

describe('report', () => {
  const text = report(results);
  test('sets every figure of ours beside the best of the peer', () => {
    expect(text).toContain(
      '| 1000 tokens | exact | 1000 tok/s | fast | 500 tok/s | **2.00x** | 1.00 to 3.00 (3) | 2 % |',
    );
    expect(text).toContain('| 1000 keys | 35 % kept | 8.0 ms | fast | 16.0 ms | **2.00x** |');
    expect(text).toContain('other processes used 2 % of the cores on average');
  });

  test('says what is held, and how much of the roofline is reached', () => {
    expect(text).toContain('| cache of 1000 | longhaul | 35 % kept | 70 MB | 0.350x |');
    expect(text).toContain('| decode | 1000 keys | longhaul | 35 % kept | 8.00 ms | 4.00 ms | 50 % |');
    expect(text).toContain('| peer | setting | 512 |');
  });

  test('accounts for all of the time that a profile took', () => {
    expect(text).toContain('| Gemm | `/layers.*/Gemm` | 800 ms | 40.0 % | 30 |');
    expect(text).toContain('| all other operators |  | 200 ms | 10.0 % |');
    expect(text).toContain('| runtime between operators |  | 500 ms | 25.0 % |');
    expect(text).toContain('| outside graphs | our code, binding, copies | 500 ms | 25.0 % |');
  });

  test('of nothing is one line', () => {
    expect(
      report({ ...results, measurements: [], profiles: [] })
        .trim()
        .split('\n')[0],
    ).toContain('unknown');
  });
});

describe('plot of cost against length', () => {
  test('has a line for each of ours and one for the best of the peer', () => {
    const longer = measurements.map((one) =>
      one.tokens === undefined ? one : { ...one, tokens: 4000, values: one.values.map((value) => 2 * value) },
    );
    const plot = lengthPlot([...measurements, ...longer]);
    const lines = [...plot.matchAll(/<polyline points="([^"]+)"/g)].map((match) => match[1]!.split(' '));
    expect(lines.map((points) => points.length)).toEqual([2, 2, 2, 2]);
    for (const words of ['Longhaul, exact', 'Longhaul, 35 % kept', 'node-llama-cpp, its best']) {
      expect(plot).toContain(words);
    }
    expect(plot).not.toContain('NaN');
  });

  test('of nothing is empty axes', () => {
    expect(lengthPlot([])).not.toMatch(/NaN|polyline/);
  });
});
