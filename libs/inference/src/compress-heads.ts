import type { MessagePort } from 'node:worker_threads';
import { createPolicy, type Policy, type PolicyOptions } from '@app/kv-policy';
import type { KvType } from '@app/onnx-graph';
import type { InferenceSession } from 'onnxruntime-node';
import type { AskedHead } from './asked-rows.js';
import { type HeldHead, holdAs, holdHead, type RowEntries } from './held-prefix.js';
import { free } from './kv-memory.js';
import { matchHead } from './match-head.js';
import { ReadingHead } from './reading-head.js';

/** Heads of one cache, and how many entries the policy gives each of them: plain data, which can go to another thread. */
export interface HeadsToCompress {
  readonly policy: { readonly name: string; readonly options: PolicyOptions };
  readonly headSize: number;
  readonly kvType: KvType;
  readonly heads: readonly HeadToCompress[];
}

export interface HeadToCompress {
  readonly head: ReadingHead;
  readonly allocated: number;
  /** What questions asked it, where what is kept is to be matched to that; used up. */
  readonly asked?: AskedHead | undefined;
}

/** What a compressing thread is sent. */
export interface CompressMessage {
  readonly work: HeadsToCompress;
  /** Where the held heads go. */
  readonly replyTo: MessagePort;
}

/** What compressing needs of the thread that it runs in. */
export interface CompressTools {
  /** Opens the session that matches heads. */
  matching(headSize: number): Promise<InferenceSession>;
  /** Awaited between heads. */
  checkpoint?(): Promise<void>;
}

/** What stays of each head, in order. The heads' own arrays are freed, one head after the other; all of them where it fails. */
export async function compressHeads(work: HeadsToCompress, tools: CompressTools): Promise<HeldHead[]> {
  const policy = createPolicy(work.policy.name, work.policy.options);
  const held: HeldHead[] = [];
  try {
    for (const head of work.heads) {
      await tools.checkpoint?.();
      held.push(await compressHead(policy, head, work, tools));
    }
    return held;
  } catch (error) {
    free([...heldArrays(held), ...work.heads.flatMap(({ asked }) => Object.values(asked ?? {}))]);
    for (const { head } of work.heads) head.release();
    throw error;
  }
}

/** What stays of one head, whose own arrays are freed. */
export async function compressHead(
  policy: Policy,
  { head, allocated, asked }: HeadToCompress,
  { headSize, kvType }: Pick<HeadsToCompress, 'headSize' | 'kvType'>,
  tools: Pick<CompressTools, 'matching'>,
): Promise<HeldHead> {
  const whole = head.staysWhole(policy, allocated);
  const kept: RowEntries = whole ? head.whole() : head.compressed(policy, allocated).kept;
  if (!whole) head.release();
  const rows = whole || asked === undefined ? kept : await matchHead(await tools.matching(headSize), kept, asked);
  const floats = holdHead(rows, headSize);
  const held = holdAs(kvType, floats);
  const passing = held === floats ? [] : [floats.keys, floats.values];
  free([...Object.values(asked ?? {}), ...Object.values(kept), ...Object.values(rows), ...passing]);
  head.release();
  return held;
}

/** Every array of a head, and of what it was asked. */
export const arraysOf = ({ head, asked }: Pick<HeadToCompress, 'head' | 'asked'>): Float32Array[] => [
  ...head.arrays,
  ...Object.values(asked ?? {}),
];

/** The arrays of heads that are held. */
export const heldArrays = (heads: readonly HeldHead[]): HeldHead['keys'][] =>
  heads.flatMap(({ keys, values }) => [keys, values]);

/** Gives the heads their class back, which they have lost on the way to another thread. */
export function revived(work: HeadsToCompress): HeadsToCompress {
  for (const { head } of work.heads) ReadingHead.revive(head);
  return work;
}
