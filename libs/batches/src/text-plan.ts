import { askedCompression, chosenCompression, type PolicyBudget } from './compression.js';
import type { GroupPlan, ItemOptions } from './group-plan.js';
import { LongDocuments, sharedReserves } from './long-documents.js';
import { cutText, cutTokens, type LongPrompts, measureText, textParam } from './long-text.js';
import { ApiError } from './openai-error.js';
import { groupByPrefix } from './prefix-groups.js';
import { checkBiasedTokens, contextOverflow, type EncodedRequest, fewestTokens } from './prompt.js';
import { DEFAULT_MAX_TOKENS, type TextCompletionRequest } from './text-completion.dto.js';
import type { DocumentTokenizer } from './tokenized-document.js';

/** Turns plain text into the token ids that the model is given. */
export interface TextEncoder extends DocumentTokenizer {
  readonly contextLength: number;
  readonly vocabularySize: number;
  /** As the model was trained to begin a text: with BOS where it wants one. */
  encodeText(text: string): Promise<Int32Array>;
}

/** A prefix and a suffix of one token each. */
const MIN_TOKENS = 2;

/**
 * Encodes the prompts of a request and checks that each fits, with its answer.
 * @param tooLong those that are cut, as `measureText` found them
 * @throws ApiError (400)
 */
export async function encodeTextRequest(
  request: TextCompletionRequest,
  encoder: TextEncoder,
  long: LongDocuments,
  tooLong: LongPrompts,
): Promise<EncodedRequest[]> {
  const answer = request.max_tokens ?? DEFAULT_MAX_TOKENS;
  checkBiasedTokens(request.logit_bias, encoder.vocabularySize);
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
  const encoded: EncodedRequest[] = [];
  for (const [i, prompt] of request.prompt.entries()) {
    const item = tooLong[i];
    if (typeof prompt === 'string' && item !== undefined) {
      encoded.push({ ...(await cutText(prompt, item, request, encoder, long)), options });
      continue;
    }
    const cut =
      request.truncation === 'middle' && typeof prompt !== 'string' && cutTokens(prompt, answer, encoder.contextLength);
    const ids = await encodePrompt(cut || prompt, textParam(request, i), answer, encoder);
    const truncation = cut && ({ mode: 'middle', tokens: prompt.length, kept: cut.length } as const);
    encoded.push({ ids, options, ...(truncation && { truncation }) });
  }
  return encoded;
}

/**
 * The plans of a text completion: its prompts are the items, those that begin alike share a group.
 * @throws ApiError (400)
 */
export async function planText(
  completionId: string,
  request: TextCompletionRequest,
  encoder: TextEncoder,
  configured: PolicyBudget,
): Promise<GroupPlan[]> {
  const long = new LongDocuments(encoder, encoder.contextLength);
  const measured = await measureText(request, encoder, long);
  const shared = sharedReserves(
    measured.filter((item) => item !== undefined),
    encoder.contextLength,
  );
  const prompts = await encodeTextRequest(
    request,
    encoder,
    long,
    measured.map((item) => item && shared(item)),
  );
  const asked = askedCompression(request.compression, undefined, configured);
  return groupByPrefix(prompts.map(({ ids }) => ids)).map(({ members, prefixLength }) => ({
    batchId: completionId,
    model: request.model,
    promptField: 'prompt',
    compression: chosenCompression(asked, prefixLength, configured),
    prefix: [...prompts[members[0]!]!.ids.subarray(0, prefixLength)],
    items: members.map((index) => ({
      index,
      customId: completionId,
      suffix: [...prompts[index]!.ids.subarray(prefixLength)],
      request: prompts[index]!.options,
      ...(prompts[index]!.truncation && { truncation: prompts[index]!.truncation }),
    })),
  }));
}

/** @param param the prompt in the request */
async function encodePrompt(
  prompt: string | number[],
  param: string,
  answer: number,
  encoder: TextEncoder,
): Promise<Int32Array> {
  const { contextLength, vocabularySize } = encoder;
  const fewest = typeof prompt === 'string' ? fewestTokens([{ content: prompt }]) : prompt.length;
  if (fewest > contextLength) throw contextOverflow(contextLength, fewest, answer, 'at least ', param);
  const tokens = typeof prompt === 'string' ? await encoder.encodeText(prompt) : prompt;
  const unknown = tokens.find((token) => token >= vocabularySize);
  if (unknown !== undefined) {
    const found = `Invalid '${param}': the model has the tokens 0 to ${vocabularySize - 1}, found ${unknown}.`;
    throw ApiError.invalid(found, param, 'invalid_value');
  }
  const ids = Int32Array.from(tokens);
  if (ids.length < MIN_TOKENS) {
    throw ApiError.invalid(`Invalid '${param}': at least ${MIN_TOKENS} tokens are needed.`, param, 'invalid_value');
  }
  if (ids.length + answer > contextLength) throw contextOverflow(contextLength, ids.length, answer, '', param);
  return ids;
}

/** Those of the fields that are there. */
const pick = <T extends object, K extends keyof T>(from: T, names: readonly K[]): Pick<T, K> =>
  Object.fromEntries(names.filter((name) => from[name] !== undefined).map((name) => [name, from[name]])) as Pick<T, K>;
