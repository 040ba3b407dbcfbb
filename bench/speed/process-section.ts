import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ClockName } from './clock.js';
import type { Figure } from './measurement.js';
import type { Trial } from './rounds.js';
import type { SideName, VariantOf } from './side.js';
import type { SideProcess } from './side-process.js';
import { atBudgets, FULL, longhaulLabel, peerLabel, type Sides } from './sides.js';

const PROMPT = 'The powers delegated by the proposed Constitution to the federal government are few and defined.';

/** From starting a process to the first token of a short prompt: the first start ever on a machine, and later ones. */
export async function measureLoad(sides: Sides): Promise<void> {
  const prompt = sides.texts.encode(PROMPT);
  const { clock } = sides.settings;
  const figure = (side: SideName, variant: string, work: string): Figure => ({
    section: 'load',
    work,
    side,
    variant,
    unit: 's',
  });
  const [first, later] = ['first start', 'later start'];
  const peer = 'flash attention on';
  await sides.measure([
    {
      figures: [figure('longhaul', 'makes its graphs', first)],
      once: async () => {
        const graphsDir = await mkdtemp(join(tmpdir(), 'longhaul-graphs-'));
        try {
          return [await secondsToFirstToken(() => sides.fresh('longhaul', { graphsDir }), FULL, prompt, clock)];
        } finally {
          await rm(graphsDir, { recursive: true });
        }
      },
    },
    {
      figures: [figure('longhaul', 'finds its graphs', later)],
      once: async () => [await secondsToFirstToken(() => sides.fresh('longhaul'), FULL, prompt, clock)],
    },
    {
      // nothing is made on its first start
      figures: [figure('peer', peer, first), figure('peer', peer, later)],
      once: async () => {
        const variant = { flashAttention: true, batchSize: 512 };
        const seconds = await secondsToFirstToken(() => sides.fresh('peer'), variant, prompt, clock);
        return [seconds, seconds];
      },
    },
  ]);
}

async function secondsToFirstToken<Name extends SideName>(
  start: () => SideProcess<Name>,
  variant: VariantOf<Name>,
  prompt: readonly number[],
  clock: ClockName,
): Promise<number> {
  const from = performance.now();
  const side = start();
  await side.load();
  await side.hold({ name: 'prompt', tokens: prompt.slice(0, -1), variant, room: 2 });
  await side.answer('prompt', prompt.slice(-1), 1);
  const seconds = (performance.now() - from) / 1000;
  const { cpuSeconds } = await side.usage();
  await side.close();
  return clock === 'wall' ? seconds : cpuSeconds;
}

/** Largest resident set of a fresh process that answers all questions on one document; measured once. */
export async function measureMemory(sides: Sides): Promise<void> {
  const { settings } = sides;
  const variants = await sides.peerVariants(settings.documentTokens);
  const trials: Trial[] = [
    ...[FULL, ...atBudgets(settings.budgets), ...atBudgets(settings.budgets, 'merging')].map((variant) =>
      memoryTrial(sides, 'longhaul', longhaulLabel(variant), variant),
    ),
    ...variants.flatMap((variant) =>
      (['sequence', 'parallel'] as const).map((reuse) => {
        const reusing = { ...variant, reuse };
        return memoryTrial(sides, 'peer', peerLabel(reusing), reusing);
      }),
    ),
  ];
  await sides.measure(trials, 1);
}

function memoryTrial<Name extends SideName>(sides: Sides, side: Name, label: string, variant: VariantOf<Name>): Trial {
  const { settings, texts } = sides;
  const common = { section: 'memory', side, variant: label, unit: 'bytes' } as const;
  return {
    figures: [
      { ...common, work: 'peak RSS, model loaded' },
      { ...common, work: `peak RSS, ${settings.questions} questions on one document of ${settings.documentTokens}` },
    ],
    once: async () => {
      const process = sides.fresh(side);
      await process.load();
      const loaded = (await process.usage()).peakBytes;
      const documents = [texts.document(settings.documentTokens)];
      const questions = texts.questions(settings.questions);
      await process.batch({ documents, questions, answerTokens: settings.answerTokens, variant });
      const peak = (await process.usage()).peakBytes;
      await process.close();
      return [loaded, peak];
    },
  };
}
