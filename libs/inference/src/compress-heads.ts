import type { MessagePort } from 'node:worker_threads';
import { createPolicy, type PolicyOptions } from '@app/kv-policy';
import type { KvType } from '@app/onnx-graph';
import type { InferenceSession } from 'onnxruntime-node';
import type { AskedHead } from './asked-rows.js';
import { type HeldEntries, type HeldHead, holdAs, holdHead, holdInPlace } from './held-prefix.js';
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
  /** What questions asked it, where what is kept is to be matched to that. */
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
  /** Told of bytes of arrays that nobody refers to any more. */
  letGo?(bytes: number): void;
}

/** What stays of each head, in order. The heads' own arrays are let go, one head after the other, or used for what stays. */
export async function compressHeads(
  { policy: { name, options }, headSize, kvType, heads }: HeadsToCompress,
  { matching, checkpoint, letGo }: CompressTools,
): Promise<HeldHead[]> {
  const policy = createPolicy(name, options);
  const held: HeldHead[] = [];
  let scratch = new Float32Array(0);
  for (const { head, allocated, asked } of heads) {
    await checkpoint?.();
    if (head.staysWhole(policy, allocated)) {
      if (scratch.length < head.keys.length) scratch = new Float32Array(head.keys.length);
      held.push(holdAs(kvType, holdInPlace(head.whole(), headSize, scratch)));
    } else {
      const kept = holdHead(head.compressed(policy, allocated).kept, headSize);
      const matched = asked === undefined ? kept : await matchHead(await matching(headSize), kept, asked);
      if (matched !== kept) letGo?.(kept.values.byteLength + kept.logMass.byteLength);
      held.push(holdAs(kvType, matched));
    }
    head.release();
  }
  return held;
}

/** The memory behind what is sent to another thread, to be moved there instead of copied. */
export function buffersOf(arrays: Iterable<HeldEntries>): ArrayBuffer[] {
  return [...new Set([...arrays].map(({ buffer }) => buffer as ArrayBuffer))];
}

/** Every array of a head, and of what it was asked. */
export const arraysOf = ({ head, asked }: HeadToCompress): Float32Array[] => [
  head.keys,
  head.values,
  head.mass,
  head.logMass,
  ...Object.values(head.attention),
  ...(asked === undefined ? [] : [asked.queries, asked.logSum, asked.share, asked.output]),
];

/** Gives the heads their class back, which they have lost on the way to another thread. */
export function revived(work: HeadsToCompress): HeadsToCompress {
  for (const { head } of work.heads) ReadingHead.revive(head);
  return work;
}
