export { BATCH_ENDPOINTS, type BatchEndpoint } from './batch-endpoint.js';
export { type BatchEvent, batchEvent } from './batch-event.js';
export { BatchFinalizer } from './batch-finalizer.js';
export { readBatchItem } from './batch-item.js';
export { BatchJobs, groupPlanKey } from './batch-jobs.js';
export { type BatchLine, readBatchLines } from './batch-lines.js';
export { BatchPlanner, type PlannerOptions } from './batch-planner.js';
export { BatchReconciler } from './batch-reconciler.js';
export {
  type BatchError,
  type BatchPage,
  type BatchQuery,
  type BatchRecord,
  type BatchStatus,
  BatchStore,
  ENDED_STATUSES,
  type ExpiresAfter,
  newBatchId,
} from './batch-record.js';
export { RedisBatchStore } from './batch-store.redis.js';
export {
  ChatCompletionDto,
  type ChatCompletionRequest,
  type ChatMessage,
  type ContentPart,
} from './chat-completion.dto.js';
export { planChat } from './chat-plan.js';
export { type CombiningStep, nextStep } from './combination.js';
export { completionSeconds } from './completion-window.js';
export type { CompressionChoice, CompressionRequest } from './compression.js';
export { type DocumentFrame, fillFrame } from './document-frame.js';
export { DocumentReader, type DocumentReaderOptions, type TextMessage } from './documents.js';
export {
  FILE_PURPOSES,
  type FilePage,
  type FilePurpose,
  type FileQuery,
  type FileRecord,
  FileStore,
  fileBlobKey,
  newFileId,
} from './file-record.js';
export { FileRemover } from './file-remover.js';
export { RedisFileStore } from './file-store.redis.js';
export type {
  CombinedAnswers,
  GroupPlan,
  ItemOptions,
  PartAnswer,
  PlannedItem,
  PlannedPart,
  RunUsage,
} from './group-plan.js';
export { answeredItem, refusedItem } from './item-outcome.js';
export { isTooDeep } from './json-depth.js';
export { mapOptions } from './long-chat.js';
export { combineText, type PartialAnswer } from './map-reduce-prompts.js';
export { ApiError, type OpenAiErrorBody, type OpenAiErrorType } from './openai-error.js';
export { parseChatCompletion, parseCompressionRequest, parseTextCompletion, validated } from './parse-request.js';
export { planAlone } from './plan-alone.js';
export type { EncodedRequest, PromptEncoder } from './prompt.js';
export * from './queues.js';
export type { RequestClass } from './request-instance.js';
export { systemFingerprint } from './system-fingerprint.js';
export { TextCompletionDto, type TextCompletionRequest } from './text-completion.dto.js';
export {
  type AnsweredPrompt,
  type ChatBody,
  textCompletionBody,
  textLogprobs,
  totalUsage,
} from './text-completion-body.js';
export { planText, type TextEncoder } from './text-plan.js';
export type { DocumentTokenizer } from './tokenized-document.js';
export { TRUNCATIONS, type Truncation, type TruncationUsage } from './truncation.js';
export { brokenTextAt } from './unicode-text.js';
