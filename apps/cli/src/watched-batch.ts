import { setTimeout as delay } from 'node:timers/promises';
import { CliError, EXIT } from './cli-error.js';
import { LONGHAUL } from './command-name.js';
import type { Batch, LonghaulClient } from './longhaul-client.js';

export const ENDED = ['completed', 'failed', 'expired', 'cancelled'];
const SHORTEST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 3000;
/** A service that is started anew is back before. */
const OUTAGE_MS = 5 * 60 * 1000;

/**
 * The batch as it is, again and again until it has ended, at first three times a second, later more seldom. Once the
 * service has answered, it may be away for five minutes.
 */
export async function* watchedBatch(client: LonghaulClient, id: string, signal: AbortSignal): AsyncGenerator<Batch> {
  const began = Date.now();
  let lastAnswer: number | undefined;
  for (;;) {
    let batch: Batch | undefined;
    try {
      batch = await client.batch(id);
      lastAnswer = Date.now();
    } catch (error) {
      const away = error instanceof CliError && error.exitCode === EXIT.unreachable;
      if (!away || !lastAnswer || Date.now() - lastAnswer > OUTAGE_MS) throw error;
    }
    if (batch) yield batch;
    if (batch && ENDED.includes(batch.status)) return;
    const wait = Math.min(Math.max((Date.now() - began) / 50, SHORTEST_WAIT_MS), LONGEST_WAIT_MS);
    await delay(wait, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

/** The batch that was named, or the newest one. */
export async function batchId(client: LonghaulClient, given: string | undefined): Promise<string> {
  const id = given ?? (await client.batches(1)).data[0]?.id;
  if (id === undefined)
    throw new CliError(`There is no batch yet: ${LONGHAUL} submit makes one.`, EXIT.failed, 'no_batch');
  return id;
}

/** What a command that waited for the batch exits with. */
export const exitCodeOf = ({ status, request_counts: counts }: Batch): number =>
  status === 'completed' && counts.failed === 0 ? EXIT.done : EXIT.incomplete;
