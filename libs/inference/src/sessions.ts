import type { KvType, Phase } from '@app/onnx-graph';
import { InferenceSession } from 'onnxruntime-node';
import { overflowsWithSigned } from './integer-products.js';
import { openMatching } from './match-head.js';
import type { ModelFiles } from './model-files.js';

/** Opens each graph's session on first use. */
export class Sessions {
  private readonly opened = new Map<Phase, Promise<InferenceSession>>();
  private openedMatching: Promise<InferenceSession> | undefined;

  constructor(
    private readonly files: ModelFiles,
    private readonly threads: number,
    readonly kvType: KvType = 'f32',
    private readonly unsignedWeights?: boolean,
  ) {}

  get(phase: Phase): Promise<InferenceSession> {
    let session = this.opened.get(phase);
    if (session === undefined) {
      session = this.open(phase);
      this.opened.set(phase, session);
    }
    return session;
  }

  /** The session that matches kept entries, see `matchHead`; all calls give the same one. */
  matching(headSize: number, threads: number = this.threads): Promise<InferenceSession> {
    this.openedMatching ??= openMatching(headSize, threads);
    return this.openedMatching;
  }

  async close(): Promise<void> {
    for (const session of this.opened.values()) await (await session).release();
    this.opened.clear();
    await (await this.openedMatching)?.release();
    this.openedMatching = undefined;
  }

  private async open(phase: Phase): Promise<InferenceSession> {
    const options = { kvType: this.kvType, unsignedWeights: this.unsignedWeights ?? (await overflowsWithSigned()) };
    return InferenceSession.create(await this.files.graph(phase, options), {
      executionProviders: ['cpu'],
      graphOptimizationLevel: 'all',
      intraOpNumThreads: this.threads,
      // Lengths change with every run, and a memory pattern is kept for each shape ever seen.
      enableMemPattern: false,
      extra: {
        session: {
          // A run is thousands of short operators: waking threads for each would cost up to a quarter of a prefill.
          intra_op: { allow_spinning: '1' },
          // Decode steps follow each other at once; chunks of a prefill leave the cores to others in between.
          force_spinning_stop: phase === 'prefill' ? '1' : '0',
          // Shares of masked keys come out as denormal numbers, which products take several times as long for.
          set_denormal_as_zero: '1',
        },
      },
    });
  }
}
