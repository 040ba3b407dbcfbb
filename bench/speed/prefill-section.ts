import type { Trial } from './rounds.js';
import { FULL, peerLabel, type Sides } from './sides.js';

/** Reading documents of several lengths, exactly: every query sees every earlier token. */
export async function measurePrefill(sides: Sides): Promise<void> {
  const { longhaul, peer, settings, texts } = sides;
  for (const tokens of settings.prefillLengths) {
    const document = texts.document(tokens);
    const common = { section: 'prefill', work: `${tokens} tokens`, unit: 's/token', tokens } as const;
    const variants = await sides.peerVariants(tokens);
    const trials: Trial[] = [
      {
        figures: [{ ...common, side: 'longhaul', variant: 'exact' }],
        once: async () => [(await longhaul.prefill(document, FULL)) / tokens],
      },
      ...variants.map((variant) => ({
        figures: [{ ...common, side: 'peer' as const, variant: peerLabel(variant) }],
        once: async () => [(await peer.prefill(document, variant)) / tokens],
      })),
    ];
    await sides.measure(trials);
  }
}
