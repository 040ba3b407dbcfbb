import type { ChatCompletionRequest } from './chat-completion.dto.js';
import { askedCompression, chosenCompression, type PolicyBudget } from './compression.js';
import { CUT_OF_ALONE, documentEnd, type EndsLine } from './document-end.js';
import type { DocumentReader } from './documents.js';
import type { GroupPlan } from './group-plan.js';
import { groupByPrefix } from './prefix-groups.js';
import { encodeRequest, type PromptEncoder } from './prompt.js';

/**
 * The plan of a chat completion: a group of one item, index 0, whose batch and custom id are the completion's.
 * @throws ApiError (400)
 */
export async function planChat(
  completionId: string,
  request: ChatCompletionRequest,
  documents: DocumentReader,
  encoder: PromptEncoder,
  configured: PolicyBudget,
  endsLine: EndsLine = () => false,
): Promise<GroupPlan> {
  const { ids, options } = await encodeRequest(request, await documents.messages(request), encoder);
  const prefixLength = documentEnd(ids, groupByPrefix([ids])[0]!.prefixLength, CUT_OF_ALONE, endsLine);
  const compression = chosenCompression(
    askedCompression(request.compression, undefined, configured),
    prefixLength,
    configured,
  );
  const questions = request.compression?.questions ?? 'unseen';
  return {
    batchId: completionId,
    model: request.model,
    // Who asks one question about a document may ask another one: what is kept of it must not depend on the first.
    compression: compression.policy === 'full' ? compression : { ...compression, questions },
    prefix: [...ids.subarray(0, prefixLength)],
    items: [{ index: 0, customId: completionId, suffix: [...ids.subarray(prefixLength)], request: options }],
  };
}
