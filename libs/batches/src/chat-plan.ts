import type { ChatCompletionRequest } from './chat-completion.dto.js';
import { askedCompression, type CompressionChoice, type PolicyBudget } from './compression.js';
import type { EndsLine } from './document-end.js';
import type { DocumentReader } from './documents.js';
import type { GroupPlan } from './group-plan.js';
import { encodeCut, encodePart, longChat, measureChat } from './long-chat.js';
import { LongDocuments, sharedReserves } from './long-documents.js';
import { planAlone } from './plan-alone.js';
import { type EncodedRequest, encodeRequest, type PromptEncoder } from './prompt.js';

/**
 * The plans of a chat completion: a group of one item, index 0, whose batch and custom id are the completion's; one for
 * each part where its document is read in parts.
 * @throws ApiError (400)
 */
export async function planChat(
  completionId: string,
  request: ChatCompletionRequest,
  documents: DocumentReader,
  encoder: PromptEncoder,
  configured: PolicyBudget,
  endsLine: EndsLine = () => false,
): Promise<GroupPlan[]> {
  const asked = askedCompression(request.compression, undefined, configured);
  const prompts = await encodeChat(request, documents, encoder, asked);
  return prompts.map(({ ids, options, truncation, part }) => {
    const item = {
      index: 0,
      customId: completionId,
      request: options,
      ...(truncation && { truncation }),
      ...(part && { part }),
    };
    const plan = planAlone(completionId, ids, item, asked, configured, endsLine);
    if (plan.compression.policy === 'full') return plan;
    // Who asks one question about a document may ask another one: what is kept of it must not depend on the first.
    const questions = request.compression?.questions ?? 'unseen';
    return { ...plan, compression: { ...plan.compression, questions } };
  });
}

async function encodeChat(
  request: ChatCompletionRequest,
  documents: DocumentReader,
  encoder: PromptEncoder,
  asked: CompressionChoice | undefined,
): Promise<EncodedRequest[]> {
  const chat = await longChat(request, documents, encoder);
  const long = new LongDocuments(encoder, encoder.contextLength);
  const measured = chat && (await measureChat(chat, long));
  if (!chat || !measured) return [await encodeRequest(request, await documents.messages(request), encoder)];
  const item = sharedReserves([measured], encoder.contextLength)(measured);
  if (chat.mode === 'middle') return [await encodeCut(chat, item, long)];
  const parts = await long.parts(chat, item);
  const prompts: EncodedRequest[] = [];
  for (const part of parts.keys()) {
    prompts.push(await encodePart(chat, item, long, part, asked));
  }
  return prompts;
}
