import { buildMatchGraph, type KvType, MATCH_IO } from '@app/onnx-graph';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { AskedHead, AskedRows } from './asked-rows.js';
import { type HeldHead, holdAs } from './held-prefix.js';
import type { LetGo } from './kv-memory.js';
import type { Checkpoint } from './prefix-reader.js';
import { data } from './tensors.js';

/** Raised when matching makes something else of the same cache, so that one made before is not taken for it. */
export const MATCHING_VERSION = 2;

/** Heads take a few milliseconds each, decode steps of others a few dozen: so long it goes on before it is their turn. */
const MATCH_MS = 50;

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

export interface MatchOptions {
  /** For each head whether it keeps less than there was; the others stay as they are. */
  readonly shrunk: readonly boolean[];
  readonly asked: AskedRows;
  readonly checkpoint: Checkpoint;
  /** As what they are held. */
  readonly kvType: KvType;
  /** Told of arrays that are replaced. */
  readonly letGo?: LetGo | undefined;
}

/**
 * The same heads with masses and values such that the questions get of them what they got of the whole prefix, see
 * `buildMatchGraph`. The array given is used up, one head after the other.
 */
export async function matchHeads(
  session: InferenceSession,
  heads: HeldHead<Float32Array>[],
  { shrunk, asked, checkpoint, kvType, letGo }: MatchOptions,
): Promise<HeldHead[]> {
  const matched: HeldHead[] = [];
  let since = performance.now();
  for (let index = 0; index < shrunk.length; index++) {
    if (performance.now() - since > MATCH_MS) {
      await checkpoint();
      since = performance.now();
    }
    const head = heads.shift() as HeldHead<Float32Array>;
    const found = shrunk[index] ? await matchHead(session, head, asked.heads[index] as AskedHead) : head;
    matched.push(holdAs(kvType, found));
    if (found !== head) letGo?.add(head.values.byteLength + head.logMass.byteLength);
    if (kvType !== 'f32') letGo?.add(found.keys.byteLength + found.values.byteLength);
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
