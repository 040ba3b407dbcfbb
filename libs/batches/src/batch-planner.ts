import { setImmediate } from 'node:timers/promises';
import type { ExtractionLimits } from '@app/document-text';
import { type ItemResult, isRedisUnavailable, type ResultStore } from '@app/results';
import { BlobStorageError, type BlobStore } from '@app/storage';
import { Logger } from '@nestjs/common';
import { BATCH_ENDPOINTS, type BatchEndpoint, isBatchEndpoint, type PromptMaker } from './batch-endpoint.js';
import { type BatchJobs, groupPlanKey } from './batch-jobs.js';
import { type BatchError, type BatchRecord, type BatchStore, endsEarly } from './batch-record.js';
import {
  type BatchSurvey,
  InvalidBatchError,
  readSurveyedItem,
  refusal,
  type SurveyedItem,
  surveyBatch,
} from './batch-survey.js';
import { type CompressionChoice, chosenCompression, compressionKey, type PolicyBudget } from './compression.js';
import { CUT_OF_ALONE, CUT_OF_SHARED, documentEnd, type EndsLine } from './document-end.js';
import { DocumentReader } from './documents.js';
import type { FileStore } from './file-record.js';
import type { GroupPlan, PlannedItem } from './group-plan.js';
import { LongDocuments } from './long-documents.js';
import { ApiError } from './openai-error.js';
import { type PlanManifest, readPlanManifest, writePlanManifest } from './plan-manifest.js';
import { GROUPING_LIMITS, groupByPrefix } from './prefix-groups.js';
import type { EncodedRequest, PromptEncoder } from './prompt.js';
import { shortenedItems } from './shortened-items.js';
import type { TextEncoder } from './text-plan.js';

/** 16 MB, some 50 ms of sorting. */
const WINDOW_TOKENS = 4 * 1024 * 1024;
/** Bounds the sorting of many short prompts in the same way. */
const WINDOW_ITEMS = 8192;
/** As LONGHAUL_MAX_GROUP_ATTEMPTS where nothing is set. */
const MAX_ATTEMPTS = 10;
/** How long counts and lines of a batch whose planning was given up stay. */
const FAILED_RESULTS_SECONDS = 24 * 3600;

export interface PlannerOptions {
  readonly model: string;
  readonly compression: PolicyBudget;
  readonly maxLineBytes: number;
  readonly maxLines: number;
  /** Token ids that are compared in memory at a time. */
  readonly windowTokens?: number;
  /** Runs that may fail for a reason in the batch or in us before the batch fails; a Redis or disk away costs none. */
  readonly maxAttempts?: number;
  /** What reading one document may take. */
  readonly extraction?: ExtractionLimits;
  /** Documents end where a line does, see `documentEnd`; left out: where prompts part. */
  readonly endsLine?: EndsLine;
}

interface EncodedItem extends EncodedRequest {
  readonly index: number;
  readonly customId: string;
  readonly prompt: PlannedItem['prompt'];
  readonly compression: CompressionChoice | undefined;
}

/** Where the lines of a batch are, and what they address. */
interface BatchInput {
  readonly input: string;
  readonly endpoint: BatchEndpoint;
}

/** Items of one plan. */
interface PlannedGroup {
  readonly items: EncodedItem[];
  readonly prefixLength: number;
  /** Of several groups about one document: their items that shape its cache. */
  readonly questions?: readonly EncodedItem[];
}

/** Most questions that shape a document's cache where several groups share it: more would take longer to run than to matter. */
const MAX_SHARED_QUESTIONS = 256;

/**
 * Turns a batch file into group plans and jobs. Reads the file twice: once to validate every line and to see which ones
 * begin alike, then in that order to compare token ids, so that a batch never has to fit in memory.
 */
export class BatchPlanner {
  constructor(
    private readonly batches: BatchStore,
    private readonly files: FileStore,
    private readonly results: ResultStore,
    private readonly blobs: BlobStore,
    private readonly jobs: BatchJobs,
    private readonly encoder: PromptEncoder & TextEncoder,
    private readonly options: PlannerOptions,
  ) {}

  /**
   * Plans a batch and queues its groups. May be run again at any point: the same file gives the same plans, and what is
   * recorded or queued already stays as it is.
   * @param signal aborted: throws its reason at the next line
   */
  async plan(batchId: string, signal?: AbortSignal): Promise<void> {
    const batch = await this.batches.get(batchId);
    if (batch && endsEarly(batch)) return this.jobs.finalize(batchId);
    if (!batch || (batch.status !== 'validating' && batch.status !== 'in_progress')) return;
    let manifest = await readPlanManifest(this.blobs, batchId);
    if (!manifest) {
      try {
        manifest = await this.write(batch, signal);
      } catch (error) {
        if (error instanceof InvalidBatchError) return this.fail(batchId, error.errors);
        if (signal?.aborted || isOutage(error)) throw error;
        return this.failAfterLastAttempt(batchId, error);
      }
    }
    await this.batches.transition(batchId, ['validating'], { status: 'in_progress', in_progress_at: unixSeconds() });
    const planned = await this.batches.get(batchId);
    if (planned && endsEarly(planned)) return this.jobs.finalize(batchId);
    for (let group = 0; group < manifest.groups; group++) await this.jobs.answerGroup(manifest.model, batchId, group);
    const { total, completed, failed } = await this.results.counts(batchId);
    if (completed + failed >= total) await this.jobs.finalize(batchId);
  }

  /** Throws the error, for another try, while there are tries left. */
  private async failAfterLastAttempt(batchId: string, error: unknown): Promise<void> {
    const attempts = await this.results.beginAttempt(batchId, 'planning');
    if (attempts < (this.options.maxAttempts ?? MAX_ATTEMPTS)) throw error;
    new Logger(BatchPlanner.name).error(`batch=${batchId}: ${error instanceof Error ? error.stack : error}`);
    const message =
      `The batch could not be planned in ${attempts} tries, for a reason in the service and not in the file. ` +
      "The workers' log says why.";
    await this.fail(batchId, [{ code: 'planning_failed', message, param: null, line: null }]);
    await this.results.expire(batchId, FAILED_RESULTS_SECONDS);
    for (let group = 0; (await this.blobs.size(groupPlanKey(batchId, group))) !== undefined; group++) {
      await this.blobs.delete(groupPlanKey(batchId, group));
    }
  }

  private async fail(batchId: string, errors: readonly BatchError[]): Promise<void> {
    await this.jobs.tellEnd(batchId);
    await this.batches.transition(batchId, ['validating'], { status: 'failed', failed_at: unixSeconds(), errors });
  }

  /** Everything but the jobs; the manifest comes last and says that the rest is there. */
  private async write(batch: BatchRecord, signal: AbortSignal | undefined): Promise<PlanManifest> {
    const { input, endpoint } = await this.inputOf(batch);
    const { contextLength } = this.encoder;
    const { extraction } = this.options;
    const reading = { contextLength, batchId: batch.id, signal, ...(extraction && { extraction }) };
    const maker: PromptMaker = {
      documents: new DocumentReader(this.files, this.blobs, reading),
      encoder: this.encoder,
      long: new LongDocuments(this.encoder, contextLength),
    };
    const survey = await surveyBatch(this.blobs, input, maker, {
      ...this.options,
      endpoint,
      batchCompression: batch.compression,
      signal,
    });
    await this.results.expect(batch.id, survey.total);
    for (const [index, result] of survey.refused) await this.results.record(batch.id, index, result);
    const items = await this.shortened({ input, endpoint }, survey, maker);
    let groups = 0;
    for await (const plan of this.groups(batch.id, { input, endpoint }, items, maker, signal)) {
      await this.blobs.put(groupPlanKey(batch.id, groups++), JSON.stringify(plan));
    }
    const manifest: PlanManifest = { model: this.options.model, groups };
    await writePlanManifest(this.blobs, batch.id, manifest);
    return manifest;
  }

  private async inputOf(batch: BatchRecord): Promise<BatchInput> {
    const invalid = (code: string, message: string, param: string): InvalidBatchError =>
      new InvalidBatchError([{ code, message, param, line: null }]);
    const { endpoint } = batch;
    if (!isBatchEndpoint(endpoint)) {
      const known = BATCH_ENDPOINTS.map((name) => `'${name}'`).join(' or ');
      throw invalid('invalid_endpoint', `endpoint must be ${known}, found '${endpoint}'.`, 'endpoint');
    }
    const file = await this.files.get(batch.input_file_id);
    if (!file || (await this.blobs.size(file.blobKey)) === undefined) {
      throw invalid('file_not_found', `No such file: '${batch.input_file_id}'.`, 'input_file_id');
    }
    return { input: file.blobKey, endpoint };
  }

  private shortened(
    { input, endpoint }: BatchInput,
    survey: BatchSurvey,
    maker: PromptMaker,
  ): Promise<readonly SurveyedItem[]> {
    return shortenedItems(survey.items, this.encoder.contextLength, async (item, long) => {
      const { request } = await readSurveyedItem(this.blobs, input, endpoint, item);
      try {
        return await request.parts(maker, long);
      } catch (error) {
        // Its document went meanwhile: encoding it tells.
        if (error instanceof ApiError) return 0;
        throw error;
      }
    });
  }

  /** Items in the order of how they begin, a window at a time. */
  private async *groups(
    batchId: string,
    input: BatchInput,
    items: readonly SurveyedItem[],
    maker: PromptMaker,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<GroupPlan> {
    const ordered = [...items].sort(byBeginning);
    let window: EncodedItem[] = [];
    let tokens = 0;
    for (const surveyed of ordered) {
      const encoded = await this.encode(input, surveyed, maker);
      await setImmediate();
      signal?.throwIfAborted();
      if ('result' in encoded) {
        await this.results.record(batchId, surveyed.index, encoded.result);
        continue;
      }
      window.push(...encoded.items);
      for (const { ids } of encoded.items) tokens += ids.length;
      if (tokens < (this.options.windowTokens ?? WINDOW_TOKENS) && window.length < WINDOW_ITEMS) continue;
      const groups = this.grouped(window);
      // More of the last item's group may follow: it goes into the next window, unless it is full.
      const last = groups.find((members) => members.items.includes(encoded.items.at(-1)!));
      const held = last && last.items.length < GROUPING_LIMITS.maxItems ? last.items : [];
      for (const group of groups) if (group.items !== held) yield this.toPlan(batchId, group);
      window = held;
      tokens = held.reduce((sum, { ids }) => sum + ids.length, 0);
    }
    for (const group of this.grouped(window)) yield this.toPlan(batchId, group);
  }

  private async encode(
    { input, endpoint }: BatchInput,
    surveyed: SurveyedItem,
    maker: PromptMaker,
  ): Promise<{ items: EncodedItem[] } | { result: ItemResult }> {
    const { customId, request } = await readSurveyedItem(this.blobs, input, endpoint, surveyed);
    const { index, compression } = surveyed;
    try {
      const prompts = await request.encode(maker, surveyed);
      const items = prompts.map((encoded, i) => {
        const prompt = endpoint === '/v1/completions' ? { number: i, of: prompts.length } : undefined;
        return { ...encoded, index, customId, compression, prompt };
      });
      return { items };
    } catch (error) {
      return { result: refusal(surveyed.line, customId, error) };
    }
  }

  /** Only items that ask for the same compression can share a cache. */
  private grouped(window: readonly EncodedItem[]): PlannedGroup[] {
    const byCompression = new Map<string, EncodedItem[]>();
    for (const item of window) {
      const key = compressionKey(item.compression);
      const items = byCompression.get(key);
      if (items) items.push(item);
      else byCompression.set(key, [item]);
    }
    return [...byCompression.values()].flatMap((items) =>
      groupByPrefix(items.map(({ ids }) => ids)).map(({ members, prefixLength, siblings }) => ({
        items: members.map((member) => items[member]!).sort((a, b) => a.index - b.index),
        prefixLength,
        ...(siblings && { questions: spread(siblings, MAX_SHARED_QUESTIONS).map((member) => items[member]!) }),
      })),
    );
  }

  private toPlan(batchId: string, { items, prefixLength: shared, questions }: PlannedGroup): GroupPlan {
    const [first] = items as [EncodedItem];
    const { endsLine } = this.options;
    const cut = items.length > 1 ? CUT_OF_SHARED : CUT_OF_ALONE;
    const prefixLength = endsLine ? documentEnd(first.ids, shared, cut, endsLine) : shared;
    return {
      batchId,
      ...(first.prompt && { promptField: 'prompt' }),
      model: this.options.model,
      compression: chosenCompression(first.compression, prefixLength, this.options.compression),
      prefix: [...first.ids.subarray(0, prefixLength)],
      items: items.map(({ index, customId, prompt, ids, options, truncation, part }) => ({
        index,
        customId,
        ...(prompt && { prompt }),
        suffix: [...ids.subarray(prefixLength)],
        request: options,
        ...(truncation && { truncation }),
        ...(part && { part }),
      })),
      ...(questions && { questions: questions.map(({ ids }) => [...ids.subarray(prefixLength)]) }),
    };
  }
}

/** At most so many of a list, evenly spread. */
const spread = <T>(list: readonly T[], most: number): T[] =>
  Array.from(
    { length: Math.min(list.length, most) },
    (_, i) => list[Math.floor((i * list.length) / Math.min(list.length, most))]!,
  );

const byBeginning = (a: SurveyedItem, b: SurveyedItem): number =>
  a.ladder < b.ladder ? -1 : a.ladder > b.ladder ? 1 : a.index - b.index;

/** Redis or the disk is away: the next try may find it back. Errors of the operating system carry a number. */
const isOutage = (error: unknown): boolean =>
  isRedisUnavailable(error) ||
  error instanceof BlobStorageError ||
  typeof (error as NodeJS.ErrnoException | null)?.errno === 'number';

const unixSeconds = (): number => Math.floor(Date.now() / 1000);
