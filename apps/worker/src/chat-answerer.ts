import {
  ApiError,
  type ChatJob,
  DocumentReader,
  FileStore,
  type GroupPlan,
  type PromptEncoder,
  parseChatCompletion,
  planChat,
  refusedItem,
} from '@app/batches';
import { Config } from '@app/config';
import { ResultStore } from '@app/results';
import { BlobNotFoundError, BlobStore } from '@app/storage';
import { Inject, Injectable } from '@nestjs/common';
import { extractionLimits } from './document-limits.js';
import { GroupAnswerer } from './group-answerer.js';
import { PROMPT_ENCODER } from './prompt-encoder.js';

/** The caller waits for the answer; nobody reads it much later. */
const RESULT_SECONDS = 3600;

/** Answers chat completions: groups of one item, planned here. */
@Injectable()
export class ChatAnswerer {
  constructor(
    private readonly config: Config,
    private readonly files: FileStore,
    private readonly blobs: BlobStore,
    private readonly results: ResultStore,
    @Inject(PROMPT_ENCODER) private readonly encoder: PromptEncoder,
    private readonly groups: GroupAnswerer,
  ) {}

  async answer({ completionId, bodyKey }: ChatJob, cancelled: AbortSignal): Promise<void> {
    if ((await this.results.recorded(completionId, [0])).size === 0) {
      await this.results.expect(completionId, 1);
      const plan = await this.plan(completionId, bodyKey);
      if (plan) await this.groups.answer(plan, 'chat', { completionId, cancelled });
    }
    await this.results.expire(completionId, RESULT_SECONDS);
    await this.blobs.delete(bodyKey);
  }

  /** Undefined where the request cannot be answered, which is recorded then, or where nobody waits for it any more. */
  private async plan(completionId: string, bodyKey: string): Promise<GroupPlan | undefined> {
    try {
      const request = parseChatCompletion(JSON.parse((await this.blobs.read(bodyKey)).toString()));
      const documents = new DocumentReader(this.files, this.blobs, {
        contextLength: this.encoder.contextLength,
        extraction: extractionLimits(this.config),
      });
      return await planChat(completionId, request, documents, this.encoder, this.config.compression);
    } catch (error) {
      if (error instanceof BlobNotFoundError) return undefined;
      if (!(error instanceof ApiError)) throw error;
      await this.results.record(completionId, 0, refusedItem(completionId, error));
      return undefined;
    }
  }
}
