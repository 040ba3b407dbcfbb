import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  type AppProcess,
  endOfBatch,
  fileLines,
  type Longhaul,
  line,
  type OutputLine,
  startBatch,
  startLonghaul,
} from './longhaul-process.js';
import { type RedisServer, startRedis } from './redis-server.js';
import { writeTinyGguf } from './tiny-gguf.js';

let redis: RedisServer;
let longhaul: Longhaul;

beforeAll(async () => {
  redis = await startRedis();
  const env = { LONGHAUL_LOCK_SECONDS: '2', LONGHAUL_SPILL_BYTES: '100MB' };
  longhaul = await startLonghaul(redis.url, env, (dataDir) => {
    const model = join(dataDir, 'tiny.gguf');
    writeTinyGguf(model, { contextLength: 2048 });
    return { LONGHAUL_MODEL: model };
  });
  await longhaul.startWorker();
});
afterAll(async () => {
  await longhaul?.stop();
  await redis?.stop();
});

const compression = { policy: 'kvmerger', budget: 0.5 };
const prompt = (document: string, question: string) => [
  { role: 'user' as const, content: `${`Document ${document}. `.repeat(60)}\n\n${question}` },
];
const asked = (document: string, questions: readonly string[]): object[] =>
  questions.map((question, i) =>
    line(`${document}-${i}`, { model: 'tiny', messages: prompt(document, question), max_tokens: 4, compression }),
  );

const cachedTokens = ({ response }: OutputLine): number => response!.body.usage.prompt_tokens_details.cached_tokens;
const prefixTokens = ({ response }: OutputLine): number => response!.body.usage.kv_cache.tokens;

async function answers(lines: object[]): Promise<{ id: string; output: OutputLine[] }> {
  const id = await startBatch(longhaul, lines);
  const { output_file_id, request_counts } = await endOfBatch(longhaul, id);
  expect(request_counts).toEqual({ total: lines.length, completed: lines.length, failed: 0 });
  return { id, output: await fileLines(longhaul, output_file_id) };
}

/** The only worker that answered a batch. */
function answeredBy(id: string): AppProcess {
  const found = longhaul.workers.filter((worker) => worker.count(new RegExp(`answered batch=${id}`)) > 0);
  expect(found).toHaveLength(1);
  return found[0]!;
}
const left = (): number => longhaul.workers.reduce((sum, worker) => sum + worker.count(/left groups-tiny/), 0);

it('later batches and chats find a document where it is held, and another worker goes on when that one dies', async () => {
  const first = await answers(asked('a', ['Who?', 'When?', 'Where?']));
  expect(first.output.map(cachedTokens).sort()).toEqual([0, ...Array(2).fill(prefixTokens(first.output[0]!))]);
  const holder = answeredBy(first.id);

  // Whichever of the workers gets a job, the holder answers; soon one comes to the other first.
  for (let i = 0; left() === 0; i++) {
    const next = await answers(asked('a', [`Why ${i}?`, `How ${i}?`]));
    for (const item of next.output) expect(cachedTokens(item)).toBe(prefixTokens(item));
    expect(answeredBy(next.id)).toBe(holder);
  }
  const chat = { model: 'tiny', messages: prompt('a', 'Which one of them is it then?'), max_tokens: 4, compression };
  const { usage } = await longhaul.client.chat.completions.create(chat);
  expect(usage).toMatchObject({ prompt_tokens_details: { cached_tokens: prefixTokens(first.output[0]!) } });

  await holder.kill('SIGKILL');
  // Jobs may still be left to the dead worker; their locks run out.
  const after = await answers(asked('a', ['Really?', 'Sure?']));
  expect(after.output.map(cachedTokens)).toContain(0);
  expect(answeredBy(after.id)).not.toBe(holder);
});

it('groups of one batch share the document that they are about', async () => {
  const { output } = await answers(
    asked(
      'b',
      Array.from({ length: 150 }, (_, i) => `${i}: what is it?`),
    ),
  );
  expect(output.map(cachedTokens).filter((tokens) => tokens === 0)).toHaveLength(1);
});

it('a worker that was stopped finds on disk what it held', async () => {
  const workers = longhaul.workers.filter(({ lines }) => lines.length > 0);
  const { output } = await answers(asked('c', ['Who?', 'When?']));
  expect(output.map(cachedTokens)).toContain(0);
  await Promise.all(workers.map((worker) => worker.kill('SIGTERM')));
  await longhaul.startWorker();
  const again = await answers(asked('c', ['Why?', 'How?']));
  for (const item of again.output) expect(cachedTokens(item)).toBe(prefixTokens(item));
});
