import { buildMatchGraph, MATCH_IO } from '@app/onnx-graph';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { type AskedHead, firstRows, matchedRowCount } from './asked-rows.js';
import type { RowEntries } from './held-prefix.js';
import { data } from './tensors.js';

/** Raised when matching makes something else of the same cache, so that one made before is not taken for it. */
export const MATCHING_VERSION = 4;

/** A session of the graph that matches kept entries to what questions got of all. */
export function openMatching(headSize: number, threads: number): Promise<InferenceSession> {
  return InferenceSession.create(buildMatchGraph(headSize), {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    enableMemPattern: false,
    // Nothing is to stay behind of the largest head.
    enableCpuMemArena: false,
    extra: { session: { set_denormal_as_zero: '1', force_spinning_stop: '1' } },
  });
}

/**
 * The same head with masses and values such that the questions get of it what they got of the whole prefix, see
 * `buildMatchGraph`.
 */
export async function matchHead(
  session: InferenceSession,
  { keys, values, logMass }: RowEntries,
  asked: AskedHead,
): Promise<RowEntries> {
  const entries = logMass.length;
  const n = matchedRowCount(asked.share.length, entries);
  const { queries, logSum, share, output } = firstRows(asked, n);
  const headSize = queries.length / n;
  const matrix = (array: Float32Array, ...dims: number[]) => new Tensor('float32', array, dims);
  const outputs = await session.run({
    [MATCH_IO.queries]: matrix(queries, n, headSize),
    [MATCH_IO.logSum]: matrix(logSum, n, 1),
    [MATCH_IO.share]: matrix(share, n, 1),
    [MATCH_IO.output]: matrix(output, n, headSize),
    [MATCH_IO.keys]: matrix(keys, entries, headSize),
    [MATCH_IO.values]: matrix(values, entries, headSize),
    [MATCH_IO.logMass]: matrix(logMass, entries),
  });
  return { keys, values: data(outputs, MATCH_IO.matchedValues), logMass: data(outputs, MATCH_IO.matchedLogMass) };
}
