import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ExternalTensor, GraphBuilder } from '@app/onnx-graph';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Roofline } from './model-cost.js';

/** One kernel's best rate, operations or bytes a second. */
export interface KernelRate {
  readonly kernel: string;
  readonly unit: 'FLOP/s' | 'B/s';
  readonly rate: number;
}

export interface MachineRates {
  readonly roofline: Roofline;
  readonly kernels: readonly KernelRate[];
}

/** Sizes of the products: `[ROWS, DEPTH] x [DEPTH, COLUMNS]`, large enough that nothing but arithmetic counts. */
const [ROWS, DEPTH, COLUMNS] = [1024, 2048, 2048];
const BLOCK = 32;
/** One KV head of the default model reading a chunk of 256 tokens after 8,000: 3 query heads, 64 elements. */
const [QUERIES, HEAD_SIZE, KEYS] = [768, 64, 8000];
/** Four times the last-level cache of large machines. */
const STREAM_BYTES = 1 << 30;
const REPEATS = 8;

interface Kernel extends Omit<KernelRate, 'rate'> {
  /** Operations or bytes of one run. */
  readonly amount: number;
  readonly build: (graph: GraphBuilder) => void;
  readonly feeds: () => Record<string, Tensor>;
}

/**
 * What the machine can do at best through the runtime that we use: products in float32 and with 8-bit weights, and
 * reading memory. Best of several runs, since a roofline is a bound.
 */
export async function measureRates(threads: number): Promise<MachineRates> {
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-rates-'));
  try {
    const codes = new Uint8Array(COLUMNS * DEPTH).map((_, i) => (i * 37) % 251);
    const scales = new Float32Array((COLUMNS * DEPTH) / BLOCK).fill(0.01);
    await writeFile(join(folder, WEIGHTS), Buffer.concat([codes, new Uint8Array(scales.buffer)]));
    const kernels: KernelRate[] = [];
    for (const kernel of KERNELS) kernels.push(await measureKernel(kernel, folder, threads));
    const fastest = (names: readonly string[]) =>
      Math.max(...kernels.filter(({ kernel }) => names.includes(kernel)).map(({ rate }) => rate));
    const roofline = {
      floatFlops: fastest([FLOAT]),
      int8Flops: fastest([BLOCK8, INTEGER]),
      memoryBytes: fastest([MAXIMUM, VECTOR]),
    };
    return { roofline, kernels };
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function measureKernel(kernel: Kernel, folder: string, threads: number): Promise<KernelRate> {
  const graph = new GraphBuilder('rate');
  kernel.build(graph);
  graph.output('y', 'float', ['r', 'c']);
  const path = join(folder, 'graph.onnx');
  await writeFile(path, graph.encode());
  const session = await InferenceSession.create(path, { executionProviders: ['cpu'], intraOpNumThreads: threads });
  try {
    const feeds = kernel.feeds();
    await session.run(feeds);
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < REPEATS; i++) {
      const start = performance.now();
      await session.run(feeds);
      least = Math.min(least, (performance.now() - start) / 1000);
    }
    return { kernel: kernel.kernel, unit: kernel.unit, rate: kernel.amount / least };
  } finally {
    await session.release();
  }
}

const WEIGHTS = 'weights.bin';
const external = (name: string, type: ExternalTensor['type'], dims: number[], offset: number, length: number) => ({
  name,
  type,
  dims,
  file: WEIGHTS,
  offset,
  length,
});
const floats = (...dims: number[]): Tensor => {
  const values = new Float32Array(dims.reduce((product, size) => product * size, 1));
  for (let i = 0; i < values.length; i++) values[i] = (i % 7) / 7;
  return new Tensor('float32', values, dims);
};

const FLOAT = 'float32 product, 1024 x 2048 x 2048';
const BLOCK8 = '8-bit blocks of 32 (MatMulNBits), same sizes';
const INTEGER = 'int8 product (MatMulIntegerToFloat), same sizes';
const SCORES = `float32 product, ${QUERIES} x ${HEAD_SIZE} x ${KEYS} (scores of one KV head)`;
const MAXIMUM = 'maximum of 1 GiB';
const VECTOR = 'float32 vector times a matrix of 1 GiB';

const KERNELS: readonly Kernel[] = [
  {
    kernel: FLOAT,
    unit: 'FLOP/s',
    amount: 2 * ROWS * DEPTH * COLUMNS,
    build: (graph) => {
      const a = graph.input('a', 'float');
      graph.node('y', 'MatMul', [a, graph.input('b', 'float')]);
    },
    feeds: () => ({ a: floats(ROWS, DEPTH), b: floats(DEPTH, COLUMNS) }),
  },
  {
    kernel: BLOCK8,
    unit: 'FLOP/s',
    amount: 2 * ROWS * DEPTH * COLUMNS,
    build: (graph) => {
      const [bytes, blocks] = [COLUMNS * DEPTH, DEPTH / BLOCK];
      const codes = graph.weight(external('codes', 'uint8', [COLUMNS, blocks, BLOCK], 0, bytes));
      const scales = graph.weight(external('scales', 'float', [COLUMNS, blocks], bytes, COLUMNS * blocks * 4));
      graph.node('y', 'MatMulNBits', [graph.input('a', 'float'), codes, scales], {
        domain: 'com.microsoft',
        attributes: { K: DEPTH, N: COLUMNS, bits: 8, block_size: BLOCK, accuracy_level: 4 },
      });
    },
    feeds: () => ({ a: floats(ROWS, DEPTH) }),
  },
  {
    kernel: INTEGER,
    unit: 'FLOP/s',
    amount: 2 * ROWS * DEPTH * COLUMNS,
    build: (graph) => {
      const codes = graph.weight(external('codes', 'int8', [DEPTH, COLUMNS], 0, DEPTH * COLUMNS));
      const inputs = [graph.input('a', 'uint8'), codes, graph.float('s', 0.1), graph.float('t', 0.1)];
      graph.node('y', 'MatMulIntegerToFloat', inputs, { domain: 'com.microsoft' });
    },
    feeds: () => ({ a: new Tensor('uint8', new Uint8Array(ROWS * DEPTH).fill(3), [ROWS, DEPTH]) }),
  },
  {
    kernel: SCORES,
    unit: 'FLOP/s',
    amount: 2 * QUERIES * HEAD_SIZE * KEYS,
    build: (graph) => {
      const inputs = [graph.input('a', 'float'), graph.input('b', 'float')];
      graph.node('y', 'Gemm', inputs, { attributes: { transB: 1 } });
    },
    feeds: () => ({ a: floats(QUERIES, HEAD_SIZE), b: floats(KEYS, HEAD_SIZE) }),
  },
  {
    kernel: MAXIMUM,
    unit: 'B/s',
    amount: STREAM_BYTES,
    build: (graph) => {
      const a = graph.input('a', 'float');
      graph.node('y', 'ReduceMax', [a, graph.integers('axes', [1])], { attributes: { keepdims: 1 } });
    },
    feeds: () => ({ a: floats(64, STREAM_BYTES / 256) }),
  },
  {
    kernel: VECTOR,
    unit: 'B/s',
    amount: STREAM_BYTES,
    build: (graph) => {
      const a = graph.input('a', 'float');
      graph.node('y', 'MatMul', [a, graph.input('b', 'float')]);
    },
    feeds: () => ({ a: floats(1, 4096), b: floats(4096, STREAM_BYTES / 16384) }),
  },
];
