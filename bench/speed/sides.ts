import type { LlamaHyperparameters } from '@app/gguf-model';
import type { Measurement } from './measurement.js';
import { measureRounds, type Trial } from './rounds.js';
import type { SpeedSettings } from './settings.js';
import type { LonghaulVariant, PeerVariant, SideName, SideSettings } from './side.js';
import { SideProcess } from './side-process.js';
import type { Texts } from './texts.js';

/** Nothing is compressed. */
export const FULL: LonghaulVariant = { policy: 'full', budget: 1, reading: 'exact' };

/** Where figures and progress go. */
export interface Reporting {
  readonly found: (measurements: readonly Measurement[]) => void;
  readonly say: (line: string) => void;
}

/** Both sides, loaded, each in its process, and what sections measure with them. */
export class Sides {
  private readonly tuned = new Map<number, PeerVariant[]>();

  private constructor(
    readonly settings: SpeedSettings,
    readonly sideSettings: SideSettings,
    readonly shape: LlamaHyperparameters,
    readonly texts: Texts,
    readonly longhaul: SideProcess<'longhaul'>,
    readonly peer: SideProcess<'peer'>,
    private readonly reporting: Reporting,
  ) {}

  static async open(
    settings: SpeedSettings,
    sideSettings: SideSettings,
    model: { readonly shape: LlamaHyperparameters; readonly texts: Texts },
    reporting: Reporting,
  ): Promise<Sides> {
    const longhaul = new SideProcess('longhaul', sideSettings);
    const peer = new SideProcess('peer', sideSettings);
    const sides = new Sides(settings, sideSettings, model.shape, model.texts, longhaul, peer, reporting);
    await longhaul.load();
    await peer.load();
    return sides;
  }

  async close(): Promise<void> {
    await this.longhaul.close();
    await this.peer.close();
  }

  /** Measures what is tried, and reports it at once: a bench that is stopped has not run for nothing. */
  async measure(trials: readonly Trial[], rounds = this.settings.rounds): Promise<void> {
    const own = () => [process.pid, this.longhaul.pid, this.peer.pid];
    this.reporting.found(await measureRounds(trials, { ...this.settings, rounds }, own, this.reporting.say));
  }

  /** A fresh process of one side, which is not loaded yet. */
  fresh<Name extends SideName>(name: Name, overrides: Partial<SideSettings> = {}): SideProcess<Name> {
    return new SideProcess(name, { ...this.sideSettings, ...overrides });
  }

  /** With and without flash attention, each with the batch size that reads `tokens` tokens fastest. */
  async peerVariants(tokens: number): Promise<PeerVariant[]> {
    const known = this.tuned.get(tokens);
    if (known !== undefined) return known;
    const document = this.texts.document(tokens);
    const found: PeerVariant[] = [];
    for (const flashAttention of this.settings.peerFlashAttention) {
      const tried: { variant: PeerVariant; seconds: number }[] = [];
      const sizes = new Set(this.settings.peerBatchSizes.map((size) => Math.min(size, tokens)));
      for (const batchSize of sizes) {
        const variant = { flashAttention, batchSize };
        const seconds = sizes.size === 1 ? 0 : await this.peer.prefill(document, variant);
        tried.push({ variant, seconds });
        if (seconds > 0) this.reporting.say(`  peer, ${tokens} tokens, ${peerLabel(variant)}: ${seconds.toFixed(2)} s`);
      }
      tried.sort((a, b) => a.seconds - b.seconds);
      found.push(tried[0]!.variant);
    }
    this.tuned.set(tokens, found);
    return found;
  }
}

/** The default policy at each of the budgets; 1 is the full cache. */
export const atBudgets = (
  budgets: readonly number[],
  reading: LonghaulVariant['reading'] = 'exact',
): LonghaulVariant[] =>
  budgets.map((budget) => (budget === 1 ? FULL : { policy: 'calibrated-merge', budget, reading }));

export function longhaulLabel({ policy, budget, reading }: LonghaulVariant): string {
  const kept = policy === 'full' ? 'full cache' : `${(100 * budget).toFixed(0)} % kept`;
  return reading === 'merging' ? `${kept}, merged while read` : kept;
}

export function peerLabel({ flashAttention, batchSize, reuse }: PeerVariant): string {
  const how = { none: ', reads each time', sequence: ', one sequence', parallel: ', parallel sequences' };
  return `flash attention ${flashAttention ? 'on' : 'off'}, batch ${batchSize}${reuse === undefined ? '' : how[reuse]}`;
}
