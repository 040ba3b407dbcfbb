import type { Figure } from './measurement.js';
import type { Trial } from './rounds.js';
import type { Held } from './side.js';
import { atBudgets, FULL, longhaulLabel, peerLabel, type Sides } from './sides.js';

/**
 * A new document with its questions: time to the first token of the first answer, and of the next one from the held
 * cache; bytes held; and the share of reading that compression takes with the questions seen.
 */
export async function measureReading(sides: Sides): Promise<void> {
  for (const tokens of sides.settings.readingLengths) {
    await sides.measure([...longhaulTrials(sides, tokens), ...(await peerTrials(sides, tokens))]);
  }
}

function longhaulTrials({ longhaul, settings, texts }: Sides, tokens: number): Trial[] {
  const document = texts.document(tokens);
  const questions = texts.questions(settings.questions);
  const [first, next] = [questions[0]!, questions.at(-1)!];
  return [FULL, ...atBudgets(settings.budgets), ...atBudgets(settings.budgets, 'merging')].map((compression) => {
    const variant = longhaulLabel(compression);
    const read = () => longhaul.hold({ name: 'document', tokens: document, variant: compression, questions, room: 0 });
    return {
      figures: [...figures('longhaul', variant, tokens), share(variant, tokens)],
      once: async () => {
        const held = await read();
        return [...(await firstTokens(longhaul, held, first, next)), held.compressShare];
      },
    };
  });
}

async function peerTrials(sides: Sides, tokens: number): Promise<Trial[]> {
  const { peer, texts } = sides;
  const document = texts.document(tokens);
  const questions = texts.questions(sides.settings.questions);
  const [first, next] = [questions[0]!, questions.at(-1)!];
  const room = Math.max(first.length, next.length) + 1;
  return (await sides.peerVariants(tokens)).map((variant) => ({
    figures: figures('peer', peerLabel(variant), tokens),
    once: async () => {
      const held = await peer.hold({ name: 'document', tokens: document, variant, room });
      return firstTokens(peer, held, first, next);
    },
  }));
}

function figures(side: Figure['side'], variant: string, tokens: number): Figure[] {
  const common = { section: 'reading', side, variant, tokens } as const;
  return [
    { ...common, work: `first token, new document of ${tokens}`, unit: 's' },
    { ...common, work: `first token, held document of ${tokens}`, unit: 's' },
    { ...common, work: `cache of ${tokens}`, unit: 'kv bytes' },
  ];
}

const share = (variant: string, tokens: number): Figure => ({
  section: 'reading',
  work: `compression of ${tokens}, questions seen`,
  side: 'longhaul',
  variant,
  unit: 'share',
  tokens,
});

/** Values of `figures`; the document is let go. */
async function firstTokens(
  side: Sides['longhaul'] | Sides['peer'],
  { seconds, bytes }: Held,
  first: readonly number[],
  next: readonly number[],
): Promise<number[]> {
  const [fresh, held] = [await side.answer('document', first, 1), await side.answer('document', next, 1)];
  await side.release('document');
  return [seconds + fresh.seconds, held.seconds, bytes];
}
