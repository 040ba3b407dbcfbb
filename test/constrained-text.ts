import type { Tokenizer } from '../libs/gguf-model/src/index.js';
import type { TokenConstraint } from '../libs/inference/src/token-constraint.js';
import { allows } from '../libs/inference/src/token-mask.js';

/** Whether a text can be written token by token under a constraint, which this uses up, and then ended. */
export async function canBeWritten(text: string, constraint: TokenConstraint, tokenizer: Tokenizer): Promise<boolean> {
  try {
    for (const token of tokenizer.encode(text)) {
      if (!allows(constraint.mask, token)) return false;
      constraint.accept(token);
      await constraint.ready;
    }
    return tokenizer.endOfTurnTokens.some((token) => allows(constraint.mask, token));
  } finally {
    constraint.dispose();
  }
}
