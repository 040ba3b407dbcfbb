import { type BatchRecord, ENDED_STATUSES, FileStore, readBatchItem, readBatchLines } from '@app/batches';
import { Config } from '@app/config';
import { type ItemResult, ResultStore } from '@app/results';
import { BlobStore } from '@app/storage';
import { Injectable } from '@nestjs/common';
import { BatchesService } from '../batches/batches.service.js';
import { WakeUp } from '../completions/wake-up.js';
import { toJobObject } from './job-object.js';
import { type Asked, askedBy, type JobRow, rowsOf } from './job-rows.js';

const UNKNOWN: Asked = { document: null, question: null };
/** How often a job is looked at of which nothing is heard. */
const LOOK_MS = 500;

/** What has come of a job so far, item by item. */
@Injectable()
export class JobResults {
  constructor(
    private readonly config: Config,
    private readonly batches: BatchesService,
    private readonly files: FileStore,
    private readonly blobs: BlobStore,
    private readonly results: ResultStore,
  ) {}

  /** Rows of the items that are finished by now, in the order in which they were asked. */
  async *rows(batch: BatchRecord): AsyncGenerator<JobRow> {
    const asked = await this.asked(batch);
    for await (const { index, result } of this.results.all(batch.id)) yield* rowsOf(result, asked[index] ?? UNKNOWN);
  }

  /**
   * The job as it is; then every item once, with its rows and the counts, those that are finished first, the others as
   * they finish; the job as it ended. Undefined while there is nothing to say.
   * @throws ApiError (404) where there is no such job
   */
  async *events(id: string, gone: AbortSignal): AsyncGenerator<object | undefined> {
    const began = await this.batches.get(id);
    const asked = await this.asked(began.batch);
    const recorded: number[] = [];
    const wake = new WakeUp();
    const stop = await this.results.subscribe(id, ({ index }) => {
      recorded.push(index);
      wake.wake();
    });
    const told = new Set<number>();
    const tell = (index: number, result: ItemResult): object => {
      told.add(index);
      return { object: 'job.item', index, custom_id: result.custom_id, rows: rowsOf(result, asked[index] ?? UNKNOWN) };
    };
    try {
      yield toJobObject(began);
      for await (const { index, result } of this.results.all(id)) yield tell(index, result);
      for (;;) {
        for (let index = recorded.shift(); index !== undefined && !gone.aborted; index = recorded.shift()) {
          const result = told.has(index) ? undefined : await this.results.get(id, index);
          if (result) yield tell(index, result);
        }
        const heard = await wake.wait(LOOK_MS, gone);
        if (gone.aborted) return;
        if (heard) continue;
        const now = await this.batches.get(id);
        if (!ENDED_STATUSES.includes(now.batch.status)) {
          yield undefined;
          continue;
        }
        // What was recorded while Redis could not be heard.
        for await (const { index, result } of this.results.all(id)) if (!told.has(index)) yield tell(index, result);
        yield toJobObject(now);
        return;
      }
    } finally {
      await stop();
    }
  }

  /** What each item asked, by its index; nothing where the batch file has been deleted. */
  private async asked({ input_file_id: fileId }: BatchRecord): Promise<Asked[]> {
    const file = await this.files.get(fileId);
    if (!file) return [];
    const asked: Asked[] = [];
    const names = new Map<string, string>();
    const maxBytes = this.config.maxLineBytes;
    for await (const line of readBatchLines(await this.blobs.open(file.blobKey), maxBytes)) {
      let body: unknown;
      try {
        ({ body } = readBatchItem(line, maxBytes));
      } catch {
        body = null; // its result says what is wrong with it
      }
      const { fileId: document, question } = askedBy(body);
      if (document !== null && !names.has(document)) {
        names.set(document, (await this.files.get(document))?.filename ?? document);
      }
      asked[line.index] = { document: document === null ? null : names.get(document)!, question };
    }
    return asked;
  }
}
