import type { ChatCompletionRequest } from './chat-completion.dto.js';
import { askedCompression, chosenCompression, type PolicyBudget } from './compression.js';
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
): Promise<GroupPlan> {
  const { ids, options } = await encodeRequest(request, await documents.messages(request), encoder);
  const prefixLength = groupByPrefix([ids])[0]!.prefixLength;
  return {
    batchId: completionId,
    model: request.model,
    compression: chosenCompression(
      askedCompression(request.compression, undefined, configured),
      prefixLength,
      configured,
    ),
    prefix: [...ids.subarray(0, prefixLength)],
    items: [{ index: 0, customId: completionId, suffix: [...ids.subarray(prefixLength)], request: options }],
  };
}
