import { askedCompression, chosenCompression, type PolicyBudget } from './compression.js';
import type { GroupPlan, ItemOptions } from './group-plan.js';
import { ApiError } from './openai-error.js';
import { groupByPrefix } from './prefix-groups.js';
import { checkBiasedTokens, contextOverflow, fewestTokens } from './prompt.js';
import { DEFAULT_MAX_TOKENS, type TextCompletionRequest } from './text-completion.dto.js';

/** Turns plain text into the token ids that the model is given. */
export interface TextEncoder {
  readonly contextLength: number;
  readonly vocabularySize: number;
  /** As the model was trained to begin a text: with BOS where it wants one. */
  encodeText(text: string): Int32Array;
}

/** A prefix and a suffix of one token each. */
const MIN_TOKENS = 2;

/**
 * The plans of a text completion: its prompts are the items, those that begin alike share a group.
 * @throws ApiError (400)
 */
export function planText(
  completionId: string,
  request: TextCompletionRequest,
  encoder: TextEncoder,
  configured: PolicyBudget,
): GroupPlan[] {
  const answer = request.max_tokens ?? DEFAULT_MAX_TOKENS;
  const prompts = request.prompt.map((prompt, i) =>
    encode(prompt, request.prompt.length === 1 ? 'prompt' : `prompt[${i}]`),
  );
  checkBiasedTokens(request.logit_bias, encoder.vocabularySize);
  const asked = askedCompression(request.compression, undefined, configured);
  const options: ItemOptions = {
    model: request.model,
    max_tokens: answer,
    ...pick(request, [
      'temperature',
      'top_p',
      'seed',
      'stop',
      'n',
      'frequency_penalty',
      'presence_penalty',
      'logit_bias',
    ]),
    ...(request.logprobs !== undefined && { logprobs: true, top_logprobs: request.logprobs }),
  };
  return groupByPrefix(prompts).map(({ members, prefixLength }) => {
    const first = prompts[members[0]!]!;
    return {
      batchId: completionId,
      model: request.model,
      compression: chosenCompression(asked, prefixLength, configured),
      prefix: [...first.subarray(0, prefixLength)],
      items: members.map((index) => ({
        index,
        customId: completionId,
        suffix: [...prompts[index]!.subarray(prefixLength)],
        request: options,
      })),
    };
  });

  function encode(prompt: string | number[], param: string): Int32Array {
    const { contextLength, vocabularySize } = encoder;
    const fewest = typeof prompt === 'string' ? fewestTokens([{ content: prompt }]) : prompt.length;
    if (fewest > contextLength) throw contextOverflow(contextLength, fewest, answer, 'at least ', param);
    const ids = typeof prompt === 'string' ? encoder.encodeText(prompt) : Int32Array.from(prompt);
    const unknown = ids.find((id) => id >= vocabularySize);
    if (unknown !== undefined) {
      const found = `Invalid '${param}': the model has the tokens 0 to ${vocabularySize - 1}, found ${unknown}.`;
      throw ApiError.invalid(found, param, 'invalid_value');
    }
    if (ids.length < MIN_TOKENS) {
      throw ApiError.invalid(`Invalid '${param}': at least ${MIN_TOKENS} tokens are needed.`, param, 'invalid_value');
    }
    if (ids.length + answer > contextLength) throw contextOverflow(contextLength, ids.length, answer, '', param);
    return ids;
  }
}

/** Those of the fields that are there. */
const pick = <T extends object, K extends keyof T>(from: T, names: readonly K[]): Pick<T, K> =>
  Object.fromEntries(names.filter((name) => from[name] !== undefined).map((name) => [name, from[name]])) as Pick<T, K>;
