import { once } from 'node:events';
import { MessageChannel, Worker } from 'node:worker_threads';
import type { KvType } from '@app/onnx-graph';
import { type AskedRows, matchedRowCount } from './asked-rows.js';
import {
  arraysOf,
  type CompressMessage,
  type CompressTools,
  compressHeads,
  type HeadsToCompress,
  heldArrays,
} from './compress-heads.js';
import type { HeldHead } from './held-prefix.js';
import { buffersOf, free } from './kv-memory.js';
import type { ReadPlan } from './read-plan.js';
import type { ReadingCache } from './reading-cache.js';

/** Entries of all heads below which sending them away takes longer than it saves. */
const LEAST_ENTRIES = 50_000;

/** What to make of a cache, and what of this thread it takes. */
export interface CompressOptions {
  /** Of what stays. */
  readonly kvType: KvType;
  /** What questions got, where what is kept is to be matched to that; used up. */
  readonly asked: AskedRows | undefined;
  readonly tools: CompressTools;
}

/**
 * Compresses a cache with several threads, the calling one among them, each head by one of them from its plan to its last
 * matched value: merging is plain arithmetic, and matching is many products too small for two threads. The other threads
 * start at the first cache that is worth it.
 */
export class CompressThreads {
  private readonly others: Worker[] = [];

  /**
   * @param threads that compress, the calling one included
   * @param matchThreads of each of the others' matrix products
   */
  constructor(
    private readonly threads: number,
    private readonly matchThreads = 1,
  ) {}

  /** What stays of each head, in order. The cache is used up, also where this fails. */
  async compress(
    cache: ReadingCache,
    plan: Pick<ReadPlan, 'policy' | 'policyOptions' | 'entries'>,
    { kvType, asked, tools }: CompressOptions,
  ): Promise<HeldHead[]> {
    const { shape, heads } = cache;
    const entries = heads.reduce((sum, head) => sum + head.entries, 0);
    const parts = divide(cache, plan, entries < LEAST_ENTRIES ? 1 : this.threads, asked);
    const work = parts.map(
      (indices): HeadsToCompress => ({
        policy: { name: plan.policy.name, options: plan.policyOptions },
        headSize: shape.headSize,
        kvType,
        heads: indices.map((index) => ({
          head: heads[index]!,
          allocated: plan.entries[index]!,
          asked: asked?.heads[index],
        })),
      }),
    );
    const elsewhere = work.slice(1).map((part, index) => this.send(index, part));
    // Where this thread's part is aborted the others finish theirs, and what they hold is held until then.
    const done = await Promise.allSettled([compressHeads(work[0]!, tools), ...elsewhere]);
    const made = done.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : []));
    const failed = done.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) {
      free(heldArrays(made.flat()));
      throw failed.reason;
    }
    const held: HeldHead[] = new Array(heads.length);
    for (const [part, indices] of parts.entries()) {
      for (const [i, index] of indices.entries()) held[index] = made[part]![i]!;
    }
    return held;
  }

  async close(): Promise<void> {
    await Promise.all(this.others.map((thread) => thread.terminate()));
  }

  /** What fails over there fails here as an uncaught error, which ends the engine. */
  private async send(index: number, work: HeadsToCompress): Promise<HeldHead[]> {
    this.others[index] ??= new Worker(new URL('./compress-thread.js', import.meta.url), {
      workerData: { matchThreads: this.matchThreads },
    });
    const { port1: answer, port2: replyTo } = new MessageChannel();
    const arrays = work.heads.flatMap(arraysOf);
    this.others[index].postMessage({ work, replyTo } satisfies CompressMessage, [replyTo, ...buffersOf(arrays)]);
    for (const { head } of work.heads) head.release();
    const [held] = await once(answer, 'message');
    answer.close();
    return held;
  }
}

/** Indices of the heads that each thread takes: the next largest goes to the one with least to do. */
function divide(
  { heads }: ReadingCache,
  { policy, entries }: Pick<ReadPlan, 'policy' | 'entries'>,
  threads: number,
  asked: AskedRows | undefined,
): number[][] {
  const cost = heads.map((head, index) => {
    // A head that stays whole is only turned.
    if (head.staysWhole(policy, entries[index]!)) return head.entries / 4;
    const kept = entries[index]!;
    const rows = matchedRowCount(asked?.heads[index]?.share.length ?? 0, kept);
    return head.entries + (kept * rows) / 80;
  });
  const largestFirst = [...cost.keys()].sort((a, b) => cost[b]! - cost[a]! || a - b);
  const parts = Array.from({ length: threads }, () => ({ indices: [] as number[], cost: 0 }));
  for (const index of largestFirst) {
    const least = parts.reduce((best, part) => (part.cost < best.cost ? part : best));
    least.indices.push(index);
    least.cost += cost[index]!;
  }
  return parts.map(({ indices }) => indices).filter(({ length }) => length > 0);
}
