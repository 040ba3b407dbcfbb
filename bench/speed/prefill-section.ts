import type { Trial } from './rounds.js';
import { atBudgets, FULL, longhaulLabel, peerLabel, type Sides } from './sides.js';

/** Reading documents of several lengths: exactly, where every token sees all before it, and merging while reading. */
export async function measurePrefill(sides: Sides): Promise<void> {
  const { longhaul, peer, settings, texts } = sides;
  for (const tokens of settings.prefillLengths) {
    const document = texts.document(tokens);
    const common = { section: 'prefill', work: `${tokens} tokens`, unit: 's/token', tokens } as const;
    const variants = await sides.peerVariants(tokens);
    const trials: Trial[] = [
      ...[FULL, ...atBudgets(settings.budgets, 'merging')].map((variant) => ({
        figures: [
          { ...common, side: 'longhaul' as const, variant: variant === FULL ? 'exact' : longhaulLabel(variant) },
        ],
        once: async () => [(await longhaul.prefill(document, variant)) / tokens],
      })),
      ...variants.map((variant) => ({
        figures: [{ ...common, side: 'peer' as const, variant: peerLabel(variant) }],
        once: async () => [(await peer.prefill(document, variant)) / tokens],
      })),
    ];
    await sides.measure(trials);
  }
}
