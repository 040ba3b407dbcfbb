import { GraphBuilder } from '@app/onnx-graph';
import { InferenceSession, Tensor } from 'onnxruntime-node';

const [ROWS, SIZE, COLUMNS] = [16, 64, 16];
/** The largest code of either kind: two products of them are more than 16 bits hold. */
const [LARGEST_UNSIGNED, LARGEST_SIGNED] = [255, 127];

let found: Promise<boolean> | undefined;

/**
 * Whether the runtime's products of unsigned with signed bytes are wrong on this processor: on x86 without VNNI it adds them
 * up in pairs of 16 bits, which large codes overflow. Products of unsigned bytes are right everywhere, and slower.
 */
export function overflowsWithSigned(): Promise<boolean> {
  found ??= multiplyLargest().then((sums) => sums.some((sum) => sum !== SIZE * LARGEST_UNSIGNED * LARGEST_SIGNED));
  return found;
}

async function multiplyLargest(): Promise<Float32Array> {
  const graph = new GraphBuilder('integer-product');
  const inputs = [
    graph.input('codes', 'uint8'),
    graph.input('weights', 'int8'),
    graph.float('step', 1),
    graph.float('scale', 1),
    graph.byte('zero_point', 'uint8', 0),
    graph.byte('weight_zero', 'int8', 0),
  ];
  graph.node('sums', 'MatMulIntegerToFloat', inputs, { domain: 'com.microsoft' });
  graph.output('sums', 'float', [ROWS, COLUMNS]);
  const session = await InferenceSession.create(graph.encode(), { intraOpNumThreads: 1 });
  const { sums } = await session.run({
    codes: new Tensor('uint8', new Uint8Array(ROWS * SIZE).fill(LARGEST_UNSIGNED), [ROWS, SIZE]),
    weights: new Tensor('int8', new Int8Array(SIZE * COLUMNS).fill(LARGEST_SIGNED), [SIZE, COLUMNS]),
  });
  await session.release();
  return sums!.data as Float32Array;
}
