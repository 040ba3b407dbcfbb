import { median } from '../averages.js';
import type { Section } from './settings.js';
import type { SideName } from './side.js';

/** What is measured. Less is better, in every unit but `tokens`. */
export interface Figure {
  readonly section: Section;
  /** What was done; both sides do the same under the same name. */
  readonly work: string;
  readonly side: SideName;
  /** The setting it was done with, as the tables name it. */
  readonly variant: string;
  /** `bytes`: of memory. `kv bytes`: of a cache. `share`: of the time that reading takes. `tokens`: generated, to see that both did the same work. */
  readonly unit: 's/token' | 's' | 'bytes' | 'kv bytes' | 'share' | 'tokens';
  /** Tokens of the prefix, where the figure depends on them. */
  readonly tokens?: number;
  /** Entries that a KV head keeps of them, mean. */
  readonly entries?: number;
  /** What the reader must know of the figure. */
  readonly note?: string;
}

/** A figure, measured once a round. */
export interface Measurement extends Figure {
  /** One a round. */
  readonly values: readonly number[];
  /** Share of the machine's cores that other processes used meanwhile, one a round; NaN where it cannot be read. */
  readonly others: readonly number[];
}

/** One of ours beside the peer's best on the same work. */
export interface Comparison {
  readonly ours: Measurement;
  readonly peer: Measurement;
  /** Median over rounds of peer / ours, of the same round: over 1, ours is faster or smaller. */
  readonly ratio: number;
  /** Smallest and largest of the rounds. */
  readonly low: number;
  readonly high: number;
}

const COMPARED: readonly Figure['unit'][] = ['s/token', 's', 'bytes'];

/** Every setting of ours beside the setting of the peer with the smallest median, for all works that both have done. */
export function compare(measurements: readonly Measurement[]): Comparison[] {
  const comparisons: Comparison[] = [];
  for (const ours of measurements.filter(({ side }) => side === 'longhaul')) {
    if (!COMPARED.includes(ours.unit)) continue;
    const rivals = measurements.filter(
      ({ side, section, work }) => side === 'peer' && section === ours.section && work === ours.work,
    );
    const peer = best(rivals);
    if (peer === undefined) continue;
    const rounds = Math.min(ours.values.length, peer.values.length);
    const ratios = Array.from({ length: rounds }, (_, round) => peer.values[round]! / ours.values[round]!);
    comparisons.push({ ours, peer, ratio: median(ratios), low: Math.min(...ratios), high: Math.max(...ratios) });
  }
  return comparisons;
}

/** The one with the smallest median. */
export function best(measurements: readonly Measurement[]): Measurement | undefined {
  const sorted = [...measurements].sort((a, b) => median(a.values) - median(b.values));
  return sorted[0];
}
