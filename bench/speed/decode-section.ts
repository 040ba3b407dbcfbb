import type { Trial } from './rounds.js';
import { atBudgets, FULL, longhaulLabel, type Sides } from './sides.js';

/** One item after prefixes of several lengths: seconds a token, of ours with everything or a part of the cache kept. */
export async function measureDecode(sides: Sides): Promise<void> {
  for (const tokens of sides.settings.decodeKeys) {
    const trials = [...(await longhaulTrials(sides, tokens)), ...(await peerTrials(sides, tokens))];
    await sides.measure(trials);
    for (const { figures } of trials) {
      for (const { side, variant } of figures) await sides[side].release(variant);
    }
  }
}

const common = (tokens: number) => ({ section: 'decode', work: `${tokens} keys`, unit: 's/token', tokens }) as const;

async function longhaulTrials({ longhaul, settings, texts }: Sides, tokens: number): Promise<Trial[]> {
  const { prefix, last } = split(texts.document(tokens + 1));
  const trials: Trial[] = [];
  for (const compression of [FULL, ...atBudgets(settings.budgets)]) {
    const variant = longhaulLabel(compression);
    const held = await longhaul.hold({ name: variant, tokens: prefix, variant: compression, room: 0 });
    trials.push({
      figures: [{ ...common(tokens), side: 'longhaul', variant, entries: held.entries }],
      once: async () => [perStep(await longhaul.answer(variant, last, settings.answerTokens))],
    });
  }
  return trials;
}

async function peerTrials({ peer, settings, texts }: Sides, tokens: number): Promise<Trial[]> {
  const { prefix, last } = split(texts.document(tokens + 1));
  const trials: Trial[] = [];
  for (const flashAttention of settings.peerFlashAttention) {
    const variant = `flash attention ${flashAttention ? 'on' : 'off'}`;
    const room = settings.answerTokens + 1;
    await peer.hold({ name: variant, tokens: prefix, variant: { flashAttention, batchSize: 512 }, room });
    trials.push({
      figures: [{ ...common(tokens), side: 'peer', variant, entries: tokens }],
      once: async () => [perStep(await peer.answer(variant, last, settings.answerTokens))],
    });
  }
  return trials;
}

/** All but the last token are held; the last one is the suffix, so that every step of the model has one token. */
function split(document: readonly number[]): { prefix: readonly number[]; last: readonly number[] } {
  return { prefix: document.slice(0, -1), last: document.slice(-1) };
}

const perStep = ({ seconds, steps }: { seconds: number; steps: number }): number => seconds / steps;
