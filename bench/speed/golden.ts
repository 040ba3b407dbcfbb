import { FULL, type Sides } from './sides.js';

const PROMPT = 'The capital of France is Paris. The capital of Germany is';
const TOKENS = 4;

/** The two sides do not compute the same. */
export class GoldenMismatchError extends Error {
  override readonly name = 'GoldenMismatchError';
}

/** Checks that both sides continue a short prompt with the same tokens, so that they are timed on the same work. */
export async function checkGolden({ longhaul, peer, texts }: Sides): Promise<readonly number[]> {
  const prompt = texts.encode(PROMPT);
  const request = { name: 'golden', tokens: prompt.slice(0, -1), room: TOKENS + 1 };
  await longhaul.hold({ ...request, variant: FULL });
  await peer.hold({ ...request, variant: { flashAttention: true, batchSize: 512 } });
  const last = prompt.slice(-1);
  const ours = await longhaul.answer('golden', last, TOKENS);
  const theirs = await peer.answer('golden', last, TOKENS);
  await longhaul.release('golden');
  await peer.release('golden');
  if (ours.tokens.join() !== theirs.tokens.join()) {
    throw new GoldenMismatchError(
      `Expected both sides to continue '${PROMPT}' alike, found tokens ${ours.tokens.join()} of Longhaul and ` +
        `${theirs.tokens.join()} of node-llama-cpp: they read the model differently, so their speeds cannot be compared.`,
    );
  }
  return ours.tokens;
}
