import { buildMatchGraph, MATCH_IO } from '@app/onnx-graph';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { AskedHead, AskedRows } from './asked-rows.js';
import type { HeldHead } from './held-prefix.js';
import type { Checkpoint } from './prefix-reader.js';
import { data } from './tensors.js';

/** A session of the graph that matches kept entries to what questions got of all. */
export function openMatching(headSize: number, threads: number): Promise<InferenceSession> {
  return InferenceSession.create(buildMatchGraph(headSize), {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    enableMemPattern: false,
    extra: { session: { set_denormal_as_zero: '1', force_spinning_stop: '1' } },
  });
}

/**
 * The same heads with masses and values such that the questions get of them what they got of the whole prefix, see
 * `buildMatchGraph`.
 * @param shrunk for each head whether it keeps less than there was; the others stay as they are
 */
export async function matchHeads(
  session: InferenceSession,
  heads: readonly HeldHead<Float32Array>[],
  shrunk: readonly boolean[],
  asked: AskedRows,
  checkpoint: Checkpoint,
): Promise<HeldHead<Float32Array>[]> {
  const matched: HeldHead<Float32Array>[] = [];
  for (const [index, head] of heads.entries()) {
    if (!shrunk[index]) {
      matched.push(head);
      continue;
    }
    await checkpoint();
    matched.push(await matchHead(session, head, asked.heads[index] as AskedHead));
  }
  return matched;
}

async function matchHead(
  session: InferenceSession,
  { keys, values, logMass }: HeldHead<Float32Array>,
  { queries, logSum, share, output }: AskedHead,
): Promise<HeldHead<Float32Array>> {
  const [n, entries] = [share.length, logMass.length];
  const headSize = queries.length / n;
  const matrix = (array: Float32Array, ...dims: number[]) => new Tensor('float32', array, dims);
  const outputs = await session.run({
    [MATCH_IO.queries]: matrix(queries, n, headSize),
    [MATCH_IO.logSum]: matrix(logSum, n, 1),
    [MATCH_IO.share]: matrix(share, n, 1),
    [MATCH_IO.output]: matrix(output, n, headSize),
    [MATCH_IO.keys]: matrix(keys, entries, headSize),
    [MATCH_IO.values]: matrix(values, headSize, entries),
    [MATCH_IO.logMass]: matrix(logMass, entries),
  });
  return { keys, values: data(outputs, MATCH_IO.matchedValues), logMass: data(outputs, MATCH_IO.matchedLogMass) };
}
