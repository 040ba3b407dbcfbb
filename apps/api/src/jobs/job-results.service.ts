import { buffer } from 'node:stream/consumers';
import {
  type BatchLine,
  type BatchRecord,
  ENDED_STATUSES,
  FileStore,
  readBatchItem,
  readBatchLines,
} from '@app/batches';
import { Config } from '@app/config';
import { type ItemResult, ResultStore } from '@app/results';
import { BlobNotFoundError, BlobStore } from '@app/storage';
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

  /** Rows of the items that are finished by now, in the order in which they were asked. Holds one line of the batch file. */
  async *rows(batch: BatchRecord): AsyncGenerator<JobRow> {
    const names = new Map<string, string>();
    const lines = this.lines(batch);
    try {
      let line = (await lines.next()).value;
      for await (const { index, result } of this.results.all(batch.id)) {
        while (line && line.index < index) line = (await lines.next()).value;
        yield* rowsOf(result, line?.index === index ? await this.asked(line, names) : UNKNOWN);
      }
    } finally {
      await lines.return(undefined);
    }
  }

  /**
   * The job as it is; then every item once, with its rows and the counts, those that are finished first, the others as
   * they finish; the job as it ended. Undefined while there is nothing to say.
   * @throws ApiError (404) where there is no such job
   */
  async *events(id: string, gone: AbortSignal): AsyncGenerator<object | undefined> {
    const began = await this.batches.get(id);
    const names = new Map<string, string>();
    const places: Omit<BatchLine, 'bytes'>[] = [];
    for await (const { bytes: _, ...place } of this.lines(began.batch)) places.push(place);
    const recorded: number[] = [];
    const wake = new WakeUp();
    const stop = await this.results.subscribe(id, ({ index }) => {
      recorded.push(index);
      wake.wake();
    });
    const told = new Set<number>();
    const tell = async (index: number, result: ItemResult): Promise<object> => {
      told.add(index);
      const place = places[index];
      const line = place && (await this.lineAt(began.batch, place));
      const asked = line ? await this.asked(line, names) : UNKNOWN;
      return { object: 'job.item', index, custom_id: result.custom_id, rows: rowsOf(result, asked) };
    };
    try {
      yield toJobObject(began);
      for await (const { index, result } of this.results.all(id)) yield await tell(index, result);
      for (;;) {
        for (let index = recorded.shift(); index !== undefined && !gone.aborted; index = recorded.shift()) {
          const result = told.has(index) ? undefined : await this.results.get(id, index);
          if (result) yield await tell(index, result);
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
        for await (const { index, result } of this.results.all(id))
          if (!told.has(index)) yield await tell(index, result);
        yield toJobObject(now);
        return;
      }
    } finally {
      await stop();
    }
  }

  /** The lines of a batch file; none where it has been deleted. */
  private async *lines({ input_file_id: fileId }: BatchRecord): AsyncGenerator<BatchLine, undefined> {
    const file = await this.files.get(fileId);
    if (file) yield* readBatchLines(await this.blobs.open(file.blobKey), this.config.maxLineBytes);
    return undefined;
  }

  /** One line again; undefined where the file has been deleted meanwhile. */
  private async lineAt(
    { input_file_id: fileId }: BatchRecord,
    place: Omit<BatchLine, 'bytes'>,
  ): Promise<BatchLine | undefined> {
    const file = await this.files.get(fileId);
    if (!file) return undefined;
    const { start, length } = place;
    // What is longer than a line may be is not read: its result says so.
    if (length > this.config.maxLineBytes) return { ...place, bytes: undefined };
    try {
      return { ...place, bytes: await buffer(await this.blobs.open(file.blobKey, { start, end: start + length - 1 })) };
    } catch (error) {
      if (error instanceof BlobNotFoundError) return undefined;
      throw error;
    }
  }

  /** @param names of the documents that are known by now, by id */
  private async asked(line: BatchLine, names: Map<string, string>): Promise<Asked> {
    let body: unknown;
    try {
      ({ body } = readBatchItem(line, this.config.maxLineBytes));
    } catch {
      return UNKNOWN; // its result says what is wrong with it
    }
    const { fileId: document, question } = askedBy(body);
    if (document !== null && !names.has(document)) {
      names.set(document, (await this.files.get(document))?.filename ?? document);
    }
    return { document: document === null ? null : names.get(document)!, question };
  }
}
