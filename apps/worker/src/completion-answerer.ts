import {
  ApiError,
  type CompletionJob,
  DocumentReader,
  FileStore,
  type GroupPlan,
  type PlannedItem,
  parseChatCompletion,
  parseTextCompletion,
  planChat,
  planText,
  refusedItem,
} from '@app/batches';
import { Config } from '@app/config';
import type { AnswerPiece } from '@app/inference';
import { AnswerStreams, ResultStore } from '@app/results';
import { BlobNotFoundError, BlobStore } from '@app/storage';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { tokenLogprobs } from './chat-completion-body.js';
import { extractionLimits } from './document-limits.js';
import { GroupAnswerer } from './group-answerer.js';
import { PartCombiner } from './part-combiner.js';
import type { Placement } from './placement.js';
import { type ModelPromptEncoder, PROMPT_ENCODER } from './prompt-encoder.js';

/** The caller waits for the answer; nobody reads it much later. */
const RESULT_SECONDS = 3600;

/** Answers completions that somebody waits for: small groups, planned here. */
@Injectable()
export class CompletionAnswerer {
  private readonly logger = new Logger(CompletionAnswerer.name);

  constructor(
    private readonly config: Config,
    private readonly files: FileStore,
    private readonly blobs: BlobStore,
    private readonly results: ResultStore,
    @Inject(PROMPT_ENCODER) private readonly encoder: ModelPromptEncoder,
    private readonly groups: GroupAnswerer,
    private readonly combiner: PartCombiner,
    private readonly streams: AnswerStreams,
  ) {}

  /** @param cancelled aborted once nobody waits any more */
  async answer(job: CompletionJob, cancelled: AbortSignal, placement: Placement): Promise<void> {
    const { completionId } = job;
    const onPiece = job.stream ? { onPiece: this.relay(completionId) } : {};
    const options = { completionId, cancelled };
    const plans = await this.plans(job, cancelled);
    for (const [group, plan] of plans.entries()) {
      // Only what combines the answers to the parts of a document is told as it grows.
      const isPart = plan.items.some(({ part }) => part !== undefined);
      const told = isPart ? {} : onPiece;
      await this.groups.answer(plan, `${job.kind}-${group}`, { ...options, ...told, ...placement });
    }
    const last = plans.at(-1);
    if (last) await this.combiner.combine(last, job.kind, { ...options, ...onPiece });
    await this.results.expire(completionId, RESULT_SECONDS);
    await this.blobs.delete(job.bodyKey);
  }

  /** None where the request cannot be answered, which is recorded then, or where nobody waits for it any more. */
  private async plans({ kind, completionId, bodyKey }: CompletionJob, cancelled: AbortSignal): Promise<GroupPlan[]> {
    try {
      const body: unknown = JSON.parse((await this.blobs.read(bodyKey)).toString());
      if (kind === 'text') {
        return await planText(completionId, parseTextCompletion(body), this.encoder, this.config.compression);
      }
      const documents = new DocumentReader(this.files, this.blobs, {
        contextLength: this.encoder.contextLength,
        extraction: extractionLimits(this.config),
        signal: cancelled,
      });
      const request = parseChatCompletion(body);
      const { compression } = this.config;
      return await planChat(completionId, request, documents, this.encoder, compression, this.encoder.endsLine);
    } catch (error) {
      if (cancelled.aborted || error instanceof BlobNotFoundError) return [];
      if (!(error instanceof ApiError)) throw error;
      await this.results.record(completionId, 0, refusedItem(completionId, error));
      return [];
    }
  }

  /** Sends pieces to the API. One that gets lost comes with the result. */
  private relay(completionId: string): (item: PlannedItem, choice: number, piece: AnswerPiece) => void {
    const told = new Map<number, { readonly text: number; readonly logprobs: number }>();
    return ({ index, request }, choiceOfItem, { text, logprobs }) => {
      const choice = index * (request.n ?? 1) + choiceOfItem;
      const before = told.get(choice) ?? { text: 0, logprobs: 0 };
      told.set(choice, { text: before.text + text.length, logprobs: before.logprobs + logprobs.length });
      const entries = logprobs.map(tokenLogprobs);
      const piece = { choice, at: before.text, text, logprobsAt: before.logprobs, logprobs: entries };
      this.streams.append(completionId, piece).catch(({ message }: Error) => this.logger.debug(message));
    };
  }
}
