/** Queue names and payloads. Payloads carry references only, so they stay small whatever the documents' sizes. */

/** BullMQ key prefix of every queue. */
export const QUEUE_PREFIX = 'longhaul';

/** Plans batches: one job a batch, job id = batch id. */
export const PLANNING_QUEUE = 'planning';
/** Writes output files: one job a batch, job id = batch id. */
export const FINALIZING_QUEUE = 'finalizing';
/** Tells the ends of batches: one job a batch, job id = batch id. */
export const WEBHOOK_QUEUE = 'webhooks';
/** Document groups, one queue a model. */
export const groupQueue = (modelId: string): string => `groups-${modelId.replaceAll(':', '-')}`;

/** Lower is sooner (BullMQ): a chat completion overtakes batches. */
export const CHAT_PRIORITY = 1;
export const BATCH_PRIORITY = 10;

export interface PlanningJob {
  readonly batchId: string;
}

export interface WebhookJob {
  readonly batchId: string;
}

export interface FinalizingJob {
  readonly batchId: string;
}

/** One document group, or a completion that somebody waits for, which the worker plans itself. */
export type GroupJob = BatchGroupJob | CompletionJob;

export interface BatchGroupJob {
  readonly kind: 'batch';
  readonly batchId: string;
  /** Blob key of the group's plan (`GroupPlan`). */
  readonly planKey: string;
}

/** Prefix of the keys of completions' bodies. */
export const COMPLETION_BODIES = 'chat';

export interface CompletionJob {
  /** `/v1/chat/completions`, one item; `/v1/completions`, an item a prompt. */
  readonly kind: 'chat' | 'text';
  /** Also the `results` id under which the answers are gathered, from item 0 on. */
  readonly completionId: string;
  /** Blob key of the request body. */
  readonly bodyKey: string;
  /** Whether the answer is wanted as it grows (`AnswerStreams`). */
  readonly stream: boolean;
}
