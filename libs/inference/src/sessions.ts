import type { Phase } from '@app/onnx-graph';
import { InferenceSession } from 'onnxruntime-node';
import type { ModelFiles } from './model-files.js';

/** Session settings that differ between phases. */
const PHASE_OPTIONS: Record<Phase, { spinning: '0' | '1' }> = {
  // Prefill runs for long at a time: spinning threads would only take the cores from everyone else.
  prefill: { spinning: '0' },
  // A decode step is a thousand short operators: waking threads for each costs more than the work.
  decode: { spinning: '1' },
  'decode-documents': { spinning: '1' },
};

/** Opens each graph's session on first use. */
export class Sessions {
  private readonly opened = new Map<Phase, Promise<InferenceSession>>();

  constructor(
    private readonly files: ModelFiles,
    private readonly threads: number,
  ) {}

  get(phase: Phase): Promise<InferenceSession> {
    let session = this.opened.get(phase);
    if (session === undefined) {
      session = this.open(phase);
      this.opened.set(phase, session);
    }
    return session;
  }

  async close(): Promise<void> {
    for (const session of this.opened.values()) await (await session).release();
    this.opened.clear();
  }

  private async open(phase: Phase): Promise<InferenceSession> {
    return InferenceSession.create(await this.files.graph(phase), {
      executionProviders: ['cpu'],
      graphOptimizationLevel: 'all',
      intraOpNumThreads: this.threads,
      // Lengths change with every run, and a memory pattern is kept for each shape ever seen.
      enableMemPattern: false,
      extra: {
        session: {
          intra_op: { allow_spinning: PHASE_OPTIONS[phase].spinning },
          // Shares of masked keys come out as denormal numbers, which products take several times as long for.
          set_denormal_as_zero: '1',
        },
      },
    });
  }
}
