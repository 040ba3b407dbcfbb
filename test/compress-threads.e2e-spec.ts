import { createPolicy } from '@app/kv-policy';
import { expect, test } from 'vitest';
import { seededRandom } from '../libs/inference/src/random.js';

/** The compiled library: a thread can't be started from TypeScript. */
const folder = '../dist/libs/inference/src';
const { CompressThreads } = (await import(
  `${folder}/compress-threads.js`
)) as typeof import('../libs/inference/src/compress-threads.js');
const { ReadingCache } = (await import(
  `${folder}/reading-cache.js`
)) as typeof import('../libs/inference/src/reading-cache.js');

const { AskedRows } = (await import(`${folder}/asked-rows.js`)) as typeof import('../libs/inference/src/asked-rows.js');
const { openMatching } = (await import(
  `${folder}/match-head.js`
)) as typeof import('../libs/inference/src/match-head.js');

const shape = { layers: 3, kvHeads: 2, queryHeads: 4, headSize: 8 } as ConstructorParameters<typeof ReadingCache>[0];
const TOKENS = 9000;
const policyOptions = { scoring: 'questions' as const };
const policy = createPolicy('calibrated-merge', policyOptions);
/** Heads that keep everything, nearly nothing and what lies between. */
const entries = Int32Array.of(TOKENS, 100, 3000, TOKENS, 7000, 1);

/** A cache as it is read, the same for the same seed. */
function filled(seed: number) {
  const cache = new ReadingCache(shape, TOKENS, ['questions']);
  const random = seededRandom(seed);
  const rows = () => Float32Array.from({ length: TOKENS * shape.kvHeads * shape.headSize }, () => random() - 0.5);
  for (let layer = 0; layer < shape.layers; layer++) cache.append(layer, rows(), rows());
  for (const head of cache.heads) head.addAttention(['questions'], Float32Array.from({ length: TOKENS }, random));
  return cache;
}

type Heads = Awaited<ReturnType<InstanceType<typeof CompressThreads>['compress']>>;

/** The arrays of heads as bytes. */
const bytesOf = (heads: Heads) =>
  heads.flatMap(({ keys, values }) =>
    [keys, values].map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength)),
  );

/** What questions of 20 tokens got of it, as `asked` has it where matching is wanted. */
function asked(seed: number) {
  const rows = new AskedRows(shape, 20, 2);
  const random = seededRandom(seed);
  for (const { queries, logSum, share, output } of rows.heads) {
    for (const array of [queries, share, output]) array.set(Array.from(array, random));
    logSum.fill(Math.log(TOKENS));
  }
  return rows;
}

test('several threads make of caches what one makes of them, also of two at once', async () => {
  const plan = { policy, policyOptions, entries };
  const session = await openMatching(shape.headSize, 1);
  const tools = { matching: async () => session };
  // The second is matched to questions as well.
  const options = () => [undefined, asked(3)].map((rows) => ({ kvType: 'f32', asked: rows, tools }) as const);
  const [alone, together] = [new CompressThreads(1), new CompressThreads(3)];
  const expected: Heads[] = [];
  for (const [i, each] of options().entries()) expected.push(await alone.compress(filled(i + 1), plan, each));
  const caches = [filled(1), filled(2)];
  const given = options();
  const found = await Promise.all(caches.map((cache, i) => together.compress(cache, plan, given[i]!)));
  expect(expected[0]!.map((head) => head.entries)).toEqual([...entries]);
  for (const [i, cache] of expected.entries()) {
    const made = bytesOf(found[i]!);
    expect(bytesOf(cache).map((part, j) => part.equals(made[j]!))).toEqual(Array(12).fill(true));
  }
  // Nothing is held twice.
  expect(caches.flatMap(({ heads }) => heads.map(({ keys }) => keys.length))).toEqual(Array(12).fill(0));
  await together.close();
  await session.release();
});

test('what is given up among its heads is let go everywhere, and the next cache is compressed as ever', async () => {
  const plan = { policy, policyOptions, entries };
  const session = await openMatching(shape.headSize, 1);
  const matching = async () => session;
  const [alone, together] = [new CompressThreads(1), new CompressThreads(2)];
  const expected = await alone.compress(filled(2), plan, { kvType: 'f32', asked: asked(3), tools: { matching } });
  const given = filled(1);
  let heads = 0;
  const checkpoint = async () => {
    if (++heads === 2) throw new Error('given up');
  };
  const compressed = together.compress(given, plan, {
    kvType: 'f32',
    asked: asked(3),
    tools: { matching, checkpoint },
  });
  await expect(compressed).rejects.toThrow('given up');
  // Of three heads this thread has done one; the other two are gone as well, and the other thread's three.
  const left = given.heads.filter(({ keys }) => keys.length > 0).length;
  expect([heads, left]).toEqual([2, 0]);
  const found = await together.compress(filled(2), plan, { kvType: 'f32', asked: asked(3), tools: { matching } });
  const wanted = bytesOf(expected);
  expect(bytesOf(found).every((part, i) => part.equals(wanted[i]!))).toBe(true);
  await together.close();
  await session.release();
});
