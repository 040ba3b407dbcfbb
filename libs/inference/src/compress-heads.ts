import type { MessagePort } from 'node:worker_threads';
import { createPolicy, type PolicyOptions } from '@app/kv-policy';
import type { KvType } from '@app/onnx-graph';
import { type HeldEntries, type HeldHead, holdAs, holdHead, holdInPlace } from './held-prefix.js';
import { ReadingHead } from './reading-head.js';

/** Heads of one cache, and how many entries the policy gives each of them: plain data, which can go to another thread. */
export interface HeadsToCompress {
  readonly policy: { readonly name: string; readonly options: PolicyOptions };
  readonly headSize: number;
  readonly kvType: KvType;
  readonly heads: readonly { readonly head: ReadingHead; readonly allocated: number }[];
}

/** What a compressing thread is sent. */
export interface CompressMessage {
  readonly work: HeadsToCompress;
  /** Where the held heads go. */
  readonly replyTo: MessagePort;
}

/** What stays of each head, in order. The heads' own arrays are let go, one head after the other, or used for what stays. */
export function compressHeads({ policy: { name, options }, headSize, kvType, heads }: HeadsToCompress): HeldHead[] {
  const policy = createPolicy(name, options);
  let scratch = new Float32Array(0);
  return heads.map(({ head, allocated }) => {
    const whole = head.staysWhole(policy, allocated);
    if (whole && scratch.length < head.keys.length) scratch = new Float32Array(head.keys.length);
    const held = whole
      ? holdInPlace(head.whole(), headSize, scratch)
      : holdHead(head.compressed(policy, allocated).kept, headSize);
    head.release();
    return holdAs(kvType, held);
  });
}

/** The memory behind what is sent to another thread, to be moved there instead of copied. */
export function buffersOf(arrays: Iterable<HeldEntries>): ArrayBuffer[] {
  return [...new Set([...arrays].map(({ buffer }) => buffer as ArrayBuffer))];
}

/** Every array of a head. */
export const arraysOf = ({ keys, values, mass, logMass, attention }: ReadingHead): Float32Array[] => [
  keys,
  values,
  mass,
  logMass,
  ...Object.values(attention),
];

/** Gives the heads their class back, which they have lost on the way to another thread. */
export function revived(work: HeadsToCompress): HeadsToCompress {
  for (const { head } of work.heads) ReadingHead.revive(head);
  return work;
}
