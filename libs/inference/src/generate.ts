import { type Tokenizer, TokenTextDecoder } from '@app/gguf-model';
import type { Decoder } from './decoder.js';
import type { GeneratedToken, GenerateRequest, Generation } from './engine-port.js';
import { tokenLogprobs } from './logprobs.js';
import type { Checkpoint } from './prefix-reader.js';
import { createSampler } from './sampler.js';
import { StopStrings } from './stop-strings.js';

/** Reads an item's suffix and generates until the turn ends, a stop string appears or `maxTokens` are there. */
export async function generate(
  decoder: Decoder,
  tokenizer: Tokenizer,
  { suffix, sampling }: Omit<GenerateRequest, 'handle'>,
  checkpoint: Checkpoint,
): Promise<Generation> {
  const sample = createSampler(sampling);
  const pieces = new TokenTextDecoder(tokenizer);
  const answer = new StopStrings(sampling.stop);
  const tokens: number[] = [];
  const logprobs: GeneratedToken[] = [];

  const start = performance.now();
  let logits = await decoder.append(suffix, checkpoint);
  const decodeStart = performance.now();
  const finish = (finishReason: Generation['finishReason'], text: string): Generation => ({
    text,
    tokens,
    finishReason,
    ...(sampling.topLogprobs === undefined ? {} : { logprobs }),
    suffixSeconds: (decodeStart - start) / 1000,
    decodeSeconds: (performance.now() - decodeStart) / 1000,
  });

  for (;;) {
    const token = sample(logits);
    if (tokenizer.endOfTurnTokens.includes(token)) {
      const stopped = answer.push(pieces.end());
      return finish('stop', stopped ?? answer.all);
    }
    tokens.push(token);
    if (sampling.topLogprobs !== undefined)
      logprobs.push(tokenLogprobs(logits, token, sampling.topLogprobs, tokenizer));
    const stopped = answer.push(pieces.push(token));
    if (stopped !== undefined) return finish('stop', stopped);
    if (tokens.length === sampling.maxTokens) {
      const cut = answer.push(pieces.end());
      return cut === undefined ? finish('length', answer.all) : finish('stop', cut);
    }
    logits = await decoder.append([token], checkpoint);
  }
}
