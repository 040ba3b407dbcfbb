import type { Batch } from './longhaul-client.js';
import { clock } from './plain-text.js';

const NO_WORKER = 'no worker is connected';

/** How far a batch is, how fast it goes and how long it may take. Rates are means since its first item was seen to move. */
export class BatchProgress {
  private first: { at: number; done: number; tokens: number } | undefined;

  /** Share that is done, in [0, 1]. */
  share = 0;
  /** `in progress  12/40 items  0.50 items/s  16 tokens/s  about 0:56 left`, rates once there is something to go by; then shorter. */
  texts: [string, ...string[]] = [''];

  /**
   * @param now milliseconds of any steady clock
   * @param workers how many are connected; undefined: nobody knows
   */
  update(batch: Batch, now: number, workers?: number): void {
    const { total, completed, failed } = batch.request_counts;
    const done = completed + failed;
    const tokens = batch.usage.output_tokens;
    if (batch.status === 'in_progress') this.first ??= { at: now, done, tokens };
    this.share = total > 0 ? done / total : 0;
    const status = batch.status.replace('_', ' ');
    // Nobody has counted them yet while there are none.
    const counts = total > 0 ? [`${done}/${total} items`, ...(failed > 0 ? [`${failed} failed`] : [])] : [];
    if (workers === 0) {
      this.texts = [text(status, ...counts, NO_WORKER), text(...counts, NO_WORKER), NO_WORKER];
      return;
    }
    const elapsed = this.first ? (now - this.first.at) / 1000 : 0;
    const moved = done - (this.first?.done ?? 0);
    const rates: string[] = [];
    const estimate: string[] = [];
    if (this.first && moved > 0 && elapsed > 0) {
      rates.push(
        `${perSecond(moved / elapsed)} items/s`,
        `${perSecond((tokens - this.first.tokens) / elapsed)} tokens/s`,
      );
      if (done < total) estimate.push(`about ${clock(((total - done) * elapsed) / moved)} left`);
    }
    // While items are answered the bar says as much as the status does.
    const shorter = batch.status === 'in_progress' ? counts : [status, ...counts];
    this.texts = [
      text(status, ...counts, ...rates, ...estimate),
      text(...shorter, ...rates, ...estimate),
      text(...shorter, ...rates.slice(0, 1), ...estimate),
      text(...shorter, ...estimate),
    ];
  }
}

const text = (...parts: string[]): string => parts.join('  ');
const perSecond = (rate: number): string => (rate < 10 ? rate.toFixed(2) : rate.toFixed(0));
