import { BatchProgress } from './batch-progress.js';
import { LONGHAUL } from './command-name.js';
import { LiveLine } from './live-line.js';
import type { Batch } from './longhaul-client.js';
import { oneLine } from './plain-text.js';
import { printJson, type Service, tellNoWorker } from './service.js';
import { ENDED, watchedBatch } from './watched-batch.js';

/**
 * Shows how a batch goes until it has ended: a bar on a terminal, lines elsewhere, the Batch object at every change for
 * programs, to stderr that there is no worker. Returns the batch as it ended.
 * @param out where the bar goes; stderr where stdout is for results
 */
export async function follow(
  { client, json, signal }: Service,
  id: string,
  out: NodeJS.WriteStream = process.stdout,
): Promise<Batch> {
  const line = new LiveLine(out);
  const progress = new BatchProgress();
  let last: Batch | undefined;
  let printed = '';
  let isAlone = false;
  try {
    for await (const batch of watchedBatch(client, id, signal)) {
      last = batch;
      const text = JSON.stringify(batch);
      // Nothing has moved: perhaps nobody is there to move it.
      const workers = text === printed && !ENDED.includes(batch.status) ? await client.workers() : undefined;
      progress.update(batch, performance.now(), workers);
      const news = `${batch.status} ${Math.floor(progress.share * 100)}${workers === 0 ? ' alone' : ''}`;
      if (!json) line.show(progress.share, progress.texts, news);
      else if (text !== printed && out === process.stdout) printJson(batch);
      if (json && workers === 0 && !isAlone) tellNoWorker(json);
      if (workers !== undefined) isAlone = workers === 0;
      printed = text;
    }
  } catch (error) {
    line.end();
    if (signal.aborted && !json) console.error(`The batch goes on: ${LONGHAUL} watch ${id}`);
    throw error;
  }
  line.end();
  return last!;
}

/** What went wrong with the batch as a whole, a line each, to stderr. */
export function tellErrors(batch: Batch): void {
  for (const { message, line } of batch.errors?.data ?? []) {
    console.error(`longhaul: ${line ? `line ${line}: ` : ''}${oneLine(message)}`);
  }
}

/** What is to be said of a batch that has ended: its errors, and where its answers are. */
export function tellEnd(batch: Batch): void {
  tellErrors(batch);
  const { total, completed } = batch.request_counts;
  if (total > completed) {
    console.error(`${total - completed} of ${total} items have no answer: ${LONGHAUL} results ${batch.id} says why`);
  } else if (process.stdout.isTTY && batch.output_file_id) console.log(`Answers: ${LONGHAUL} results ${batch.id}`);
}
