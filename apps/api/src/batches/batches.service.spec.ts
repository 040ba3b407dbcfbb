import { BatchJobs, type BatchRecord, newBatchId, RedisBatchStore, RedisFileStore } from '@app/batches';
import { loadConfig } from '@app/config';
import { Cancellations, RedisResultStore } from '@app/results';
import { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { startRedis } from '../../../../test/redis-server.js';
import { BatchesService } from './batches.service.js';

/** A worker that has ended the batch before anything else happens. */
class EndedAtOnce extends BatchJobs {
  constructor(
    redis: Redis,
    private readonly batches: RedisBatchStore,
  ) {
    super(redis);
  }

  override async endEarly({ id }: BatchRecord): Promise<void> {
    await this.batches.transition(id, ['cancelling'], { status: 'cancelled', cancelled_at: 2 });
  }
}

it('answers a cancellation with the batch that is cancelled, also where a worker has ended it meanwhile', async () => {
  const server = await startRedis();
  const redis = new Redis(server.url, { maxRetriesPerRequest: null });
  const results = new RedisResultStore(redis);
  const cancellations = new Cancellations(redis);
  const batches = new RedisBatchStore(redis, 1000);
  const jobs = new EndedAtOnce(redis, batches);
  const service = new BatchesService(loadConfig({}), batches, new RedisFileStore(redis), results, jobs, cancellations);
  const id = newBatchId();
  await batches.create({
    id,
    endpoint: '/v1/chat/completions',
    input_file_id: 'file-none',
    completion_window: '24h',
    status: 'in_progress',
    created_at: 1,
    in_progress_at: 1,
  });
  const { batch } = await service.cancel(id);
  expect(batch).toMatchObject({ id, status: 'cancelling', cancelling_at: expect.any(Number), in_progress_at: 1 });
  expect((await service.get(id)).batch.status).toBe('cancelled');

  await Promise.all([jobs.close(), results.close(), cancellations.close()]);
  redis.disconnect();
  await server.stop();
});
