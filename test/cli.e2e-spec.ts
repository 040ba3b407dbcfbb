import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from './api-alone.js';
import { type Longhaul, line, startLonghaul } from './longhaul-process.js';
import { freePort, type RedisServer, startRedis } from './redis-server.js';

const root = join(import.meta.dirname, '..');

let redis: RedisServer;
let longhaul: Longhaul;
let folder: string;

beforeAll(async () => {
  redis = await startRedis();
  longhaul = await startLonghaul(redis.url);
  folder = await mkdtemp(join(tmpdir(), 'longhaul-cli-'));
  await mkdir(join(folder, 'papers/more'), { recursive: true });
  for (const [name, copy] of [
    ['federalist_51.txt', 'papers/one.txt'],
    ['scotus_greene_v_fisher.txt', 'papers/more/two.md'],
  ] as const) {
    const document = await readFile(join(root, 'examples/documents', name), 'utf8');
    await writeFile(join(folder, copy), document.slice(0, 1200));
  }
  await writeFile(join(folder, 'papers/notes.xyz'), 'no document');
  await writeFile(join(folder, 'questions.txt'), '\uFEFFWhat is this about?\r\n\r\nWho wrote "this", and when?\n');
});
afterAll(async () => {
  await longhaul?.stop();
  await redis?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(process.execPath, [join(root, 'dist/apps/cli/src/main.js'), ...args], {
    cwd: folder,
    env: { ...process.env, npm_command: 'test', LONGHAUL_URL: longhaul.url, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = start(args);
  const [out, err, [code]] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, 'close')]);
  expect(err).not.toMatch(/^\s+at /m);
  return { code: code as number, out, err };
}

const json = async <T>(...args: string[]): Promise<T> => JSON.parse((await run(...args, '--json')).out) as T;
const uploads = async (): Promise<string[]> =>
  (await longhaul.client.files.list()).data.map(({ filename }) => filename);

const END_OF_TEXT = 0;
const END_OF_MESSAGE = 2;

/** Submits a batch of one answer that cannot end before it has so many tokens. */
async function submitStory(tokens: number): Promise<string> {
  const story = line('story', {
    model: (await json<{ id: string }[]>('models'))[0]!.id,
    messages: [{ role: 'user', content: 'Tell a long story.' }],
    max_completion_tokens: tokens,
    logit_bias: { [END_OF_MESSAGE]: -100, [END_OF_TEXT]: -100 },
  });
  await writeFile(join(folder, 'story.jsonl'), JSON.stringify(story));
  return (await json<{ id: string }>('submit', 'story.jsonl')).id;
}

describe('longhaul submit, watch and results', () => {
  it('ask every question of every document of a folder', async () => {
    const submitted = await run(
      'submit',
      'papers',
      '--questions',
      'questions.txt',
      '--max-tokens',
      '4',
      '--name',
      'both',
    );
    const passedOver = `Passed over, no documents by their names: ${join('papers', 'notes.xyz')}\n`;
    expect(submitted).toMatchObject({ code: 0, err: passedOver });
    const id = submitted.out.trim();
    const watched = await run('watch', id);
    expect(watched).toMatchObject({ code: 0, err: '' });
    expect(watched.out).toMatch(/^100 % {2}completed {2}4\/4 items/m);

    const rows = await json<Record<string, unknown>[]>('results', id);
    expect(rows.map((row) => [row['custom_id'], row['document'], row['question']])).toEqual([
      ['more/two.md#1', 'two.md', 'What is this about?'],
      ['more/two.md#2', 'two.md', 'Who wrote "this", and when?'],
      ['one.txt#1', 'one.txt', 'What is this about?'],
      ['one.txt#2', 'one.txt', 'Who wrote "this", and when?'],
    ]);
    for (const row of rows) expect(row).toMatchObject({ answer: expect.stringMatching(/\w/), error: null, choice: 0 });

    expect(await run('results', '-o', 'answers.csv')).toMatchObject({ code: 0, out: '' });
    const csv = (await readFile(join(folder, 'answers.csv'), 'utf8')).split('\r\n');
    expect(csv[0]).toBe(Object.keys(rows[0]!).join(','));
    expect(csv[2]).toContain('two.md,"Who wrote ""this"", and when?",0,');
    const openai = (await run('results', id, '--format', 'openai')).out.trim().split('\n');
    expect(openai.map((one) => JSON.parse(one).response.status_code)).toEqual([200, 200, 200, 200]);
    expect((await run('ls')).out).toMatch(new RegExp(`^${id}  completed   4/4       0  .* both$`, 'm'));
    expect(await json('usage')).toMatchObject([
      { document: 'two.md', items: 2, kv_cache: { policy: 'full' } },
      { document: 'one.txt', items: 2, kv_cache: { policy: 'full' } },
    ]);
    expect((await run('usage', id)).out).toMatch(/^ +2 +\d+ +full +100\.0 % +\d+\.\d MB +\d+\.\d s +one\.txt$/m);
  });

  it('take a batch file and documents that are there already, and exit with 4 where an answer is missing', async () => {
    const body = { messages: [{ role: 'user', content: 'Say hello.' }], max_completion_tokens: 2 };
    const model = (await json<{ id: string }[]>('models'))[0]!.id;
    const lines = [line('good', { model, ...body }), line('bad', { model: 'other', ...body })];
    await writeFile(join(folder, 'batch.jsonl'), lines.map((one) => JSON.stringify(one)).join('\n'));
    const { code, out } = await run('submit', 'batch.jsonl', '--watch', '--json');
    expect(code).toBe(4);
    const snapshots = out
      .trim()
      .split('\n')
      .map((one) => JSON.parse(one));
    expect(snapshots.at(-1)).toMatchObject({ status: 'completed', metadata: { name: 'batch.jsonl' } });
    const results = await run('results', '--format', 'text');
    expect(results.code).toBe(4);
    expect(results.out).toMatch(/^ {2}good\n {4}.*\n {2}bad\n {4}failed: The model/);

    const [file] = await json<{ id: string; filename: string }[]>('ls', '--files', '-n', '100').then((files) =>
      files.filter(({ filename }) => filename === 'one.txt'),
    );
    const asked = ['submit', '-d', file!.id, '-q', 'Who?', '-q', 'Why?', '--max-tokens', '2', '--compression', 'full'];
    expect((await run(...asked, '--watch')).code).toBe(0);
    const again = await json<Record<string, unknown>[]>('results');
    expect(again.map((row) => [row['document'], row['question']])).toEqual([
      ['one.txt', 'Who?'],
      ['one.txt', 'Why?'],
    ]);
    expect((await uploads()).filter((name) => name === 'one.txt')).toHaveLength(1);
  });

  it('leave a batch alone when they are interrupted, and end it when they are told to', async () => {
    const id = await submitStory(7000);
    const watch = start(['watch', id]);
    const closed = once(watch, 'close');
    const err = text(watch.stderr!);
    await once(watch.stdout!, 'data');
    watch.kill('SIGINT');
    expect(await closed).toEqual([130, null]);
    expect(await err).toBe(`The batch goes on: longhaul watch ${id}\nlonghaul: interrupted\n`);

    const early = await run('results', id);
    expect(early).toMatchObject({ code: 4, out: '' });
    expect(early.err).toMatch(new RegExp(`^The batch goes on: 0 of [01] items are there .longhaul watch ${id}`));
    expect((await run('cancel', id)).out).toBe(`${id} cancelling\n`);
    const { code, out } = await run('results', id, '--wait', '--json');
    expect([code, JSON.parse(out)[0].answer]).toEqual([4, null]);
    const twice = await run('cancel', id, '--json');
    expect(JSON.parse(twice.err).error.message).toContain("Cannot cancel a batch with status 'cancelled'.");
    expect(twice.code).toBe(1);
  });
});

describe('longhaul', () => {
  it('says in one line what is wrong, with an exit code that tells what kind', async () => {
    const nobody = `http://127.0.0.1:${await freePort()}`;
    const wrong: [args: string[], code: number, says: RegExp][] = [
      [['frobnicate'], 2, /unknown command 'frobnicate'/],
      [['submit'], 2, /Nothing to submit/],
      [['submit', 'papers'], 2, /No questions/],
      [['submit', 'papers/one.txt'], 2, /No questions/],
      [['submit', 'papers', 'batch.jsonl', '-q', 'x'], 2, /batch\.jsonl is a batch file/],
      [['submit', 'batch.jsonl', '--max-tokens', '4'], 2, /--max-tokens is for questions/],
      [['submit', 'none', '-q', 'x'], 2, /There is no file or folder none/],
      [['submit', 'none.jsonl'], 2, /There is no file none\.jsonl/],
      [['submit', '-d', 'none.txt', '-q', 'x'], 2, /There is no file or folder none\.txt/],
      [['submit', 'papers', '-q', ' '], 2, /The question is empty/],
      [['submit', 'papers', '-q', 'x', '--max-tokens', '0'], 2, /whole number of at least 1/],
      [['submit', 'papers', '-q', 'x', '--compression', 'full:2'], 2, /policy and its budget/],
      [['ls', '--url', 'localhost'], 2, /--url: expected an address/],
      [['ls', '--url', nobody], 3, /Cannot reach Longhaul at .*ECONNREFUSED.*longhaul up/],
      [['results', '-o', 'answers.doc', 'batch_1'], 2, /tells no format/],
      [['results', '-o', 'none/answers.csv', '--wait'], 2, /Cannot write none.answers\.csv: no folder none/],
      [['watch', 'batch_none'], 1, /No batch found with id 'batch_none'/],
    ];
    const check = async ([args, code, says]: (typeof wrong)[number]): Promise<void> => {
      const result = await run(...args);
      expect({ args, ...result }).toEqual({ args, code, out: '', err: expect.stringMatching(/^longhaul: [^\n]*\n$/) });
      expect(result.err).toMatch(says);
    };
    await Promise.all(wrong.map(check));
    const { err } = await run('cancel', '--json');
    expect(JSON.parse(err)).toEqual({ error: { message: "missing required argument 'batch'", code: 'usage' } });
  });

  it('leaves nothing half-done', async () => {
    const before = await uploads();
    const refused = await run('submit', 'papers', '-q', 'Why?', '--compression', 'zip');
    expect(refused).toMatchObject({ code: 1, err: expect.stringMatching(/compression\.policy/) });
    expect(await uploads()).toEqual(before);

    const [batch] = await json<{ id: string }[]>('ls', '-n', '1');
    await mkdir(join(folder, 'taken.csv'));
    const taken = await run('results', batch!.id, '-o', 'taken.csv');
    expect(taken).toMatchObject({ code: 2, out: '', err: expect.stringMatching(/found a folder/) });
    expect(await readdir(folder)).not.toContain('taken.csv.part');
  });

  it('goes on watching while the service cannot reach its queue', async () => {
    const id = await submitStory(100);
    const watch = start(['watch', id]);
    const out = text(watch.stdout!);
    const begun = once(watch.stdout!, 'data');
    const closed = once(watch, 'close');
    await begun;
    await until(async () => (await longhaul.client.batches.retrieve(id)).status !== 'validating');
    await redis.restart();
    expect(await closed).toEqual([0, null]);
    expect(await out).toMatch(/completed {2}1\/1 items/);
  });
});
