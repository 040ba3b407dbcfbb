import { setTimeout } from 'node:timers/promises';
import { CoreUse } from './core-use.js';
import type { Figure, Measurement } from './measurement.js';
import type { SpeedSettings } from './settings.js';

/** How long others are watched before a figure is taken. */
const QUIET_MS = 2000;

/** One setting of one side on one piece of work, which gives one or more figures. */
export interface Trial {
  readonly figures: readonly Figure[];
  /** Does the work once and returns the value of each figure. */
  readonly once: () => Promise<readonly number[]>;
}

/**
 * Takes every trial's figure once a round, one after the other, in turned order every other round, so that a slow moment
 * of the machine hits both sides alike. Of a figure that is taken again because other processes used too much of the cores,
 * the least disturbed try counts.
 * @param own processes of the bench, which are not "other"
 */
export async function measureRounds(
  trials: readonly Trial[],
  settings: Pick<SpeedSettings, 'rounds'> & Quiet,
  own: () => readonly number[],
  say: (line: string) => void,
): Promise<Measurement[]> {
  const runs = trials.map((): Run[] => []);
  const start = performance.now();
  for (let round = 0; round < settings.rounds; round++) {
    const order = [...trials.keys()];
    for (const index of round % 2 === 0 ? order : order.reverse()) {
      runs[index]!.push(await leastDisturbed(trials[index]!.once, settings, own()));
    }
    const minutes = (performance.now() - start) / 60_000;
    const left = (minutes / (round + 1)) * (settings.rounds - round - 1);
    const { section, work } = trials[0]!.figures[0]!;
    say(`  ${section}, ${work}: round ${round + 1} of ${settings.rounds}, about ${left.toFixed(1)} min left`);
  }
  return trials.flatMap(({ figures }, trial) =>
    figures.map((figure, i) => ({
      ...figure,
      values: runs[trial]!.map(({ values }) => values[i]!),
      others: runs[trial]!.map(({ others }) => others),
    })),
  );
}

type Quiet = Pick<SpeedSettings, 'others' | 'patience' | 'retries'>;

interface Run {
  readonly values: readonly number[];
  readonly others: number;
}

async function leastDisturbed(
  once: Trial['once'],
  { others: limit, patience, retries }: Quiet,
  own: readonly number[],
): Promise<Run> {
  let found: Run | undefined;
  for (let attempt = 0; attempt <= retries; attempt++) {
    if (limit < 1) await quietMoment(limit, patience, own);
    const use = new CoreUse(own);
    const values = await once();
    const others = use.others();
    if (found === undefined || others < found.others) found = { values, others };
    if (!(found.others > limit)) break;
  }
  return found!;
}

/** Waits until others use less than `limit` of the cores, `minutes` at most. */
async function quietMoment(limit: number, minutes: number, own: readonly number[]): Promise<void> {
  const end = performance.now() + minutes * 60_000;
  while (performance.now() < end) {
    const use = new CoreUse(own);
    await setTimeout(QUIET_MS);
    if (!(use.others() > limit)) return;
  }
}
