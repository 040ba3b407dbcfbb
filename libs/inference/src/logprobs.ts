import type { Tokenizer } from '@app/gguf-model';
import type { GeneratedToken, TokenLogprob } from './engine-port.js';
import { argmax } from './sampler.js';

/** Log of the sum of exponentials of `[vocabulary]` logits: what a logit is above its log-probability. */
export function logSumExp(logits: Float32Array): number {
  const largest = logits[argmax(logits)]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - largest);
  return largest + Math.log(sum);
}

/** Indices of the `count` largest values, largest first, the earlier of equals first. */
export function largest(values: Float32Array, count: number): number[] {
  const best: number[] = [];
  for (let i = 0; i < values.length && count > 0; i++) {
    if (best.length === count && values[i]! <= values[best[count - 1]!]!) continue;
    let at = best.length;
    while (at > 0 && values[best[at - 1]!]! < values[i]!) at--;
    best.splice(at, 0, i);
    if (best.length > count) best.pop();
  }
  return best;
}

/** Log-probabilities of a chosen token and of the `top` most likely ones, before temperature and nucleus, as OpenAI's. */
export function tokenLogprobs(logits: Float32Array, token: number, top: number, tokenizer: Tokenizer): GeneratedToken {
  const norm = logSumExp(logits);
  const entry = (id: number): TokenLogprob => {
    const bytes = tokenizer.tokenBytes(id);
    return { token: id, text: new TextDecoder().decode(bytes), bytes: [...bytes], logprob: logits[id]! - norm };
  };
  return { ...entry(token), top: largest(logits, top).map(entry) };
}
