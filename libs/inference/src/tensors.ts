import { type InferenceSession, Tensor } from 'onnxruntime-node';

/** int64 tensor of small whole numbers. */
export function integers(values: readonly number[], dims: readonly number[]): Tensor {
  return new Tensor('int64', BigInt64Array.from(values, BigInt), dims);
}

/** The values of a float output. */
export function data(outputs: InferenceSession.ReturnType, name: string): Float32Array {
  return outputs[name]?.data as Float32Array;
}
