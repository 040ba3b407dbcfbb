import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toFile } from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from './api-alone.js';
import { endOfBatch, type Longhaul, line, startBatch, startLonghaul } from './longhaul-process.js';
import { type RedisServer, startRedis } from './redis-server.js';

const END_OF_TEXT = 0;
const END_OF_MESSAGE = 2;

interface Row {
  readonly custom_id: string;
  readonly document: string | null;
  readonly question: string | null;
  readonly answer: string | null;
  readonly error: string | null;
}

let redis: RedisServer;
let longhaul: Longhaul;
let paper: string;
let opinion: string;

beforeAll(async () => {
  redis = await startRedis();
  longhaul = await startLonghaul(redis.url);
  const read = async (name: string) =>
    (await readFile(join(import.meta.dirname, '../examples/documents', name), 'utf8')).slice(0, 1500);
  paper = await read('federalist_51.txt');
  opinion = await read('scotus_greene_v_fisher.txt');
});
afterAll(async () => {
  await longhaul?.stop();
  await redis?.stop();
});

const get = (path: string) => fetch(`${longhaul.url}/v1/jobs${path}`);
const post = async (body: object) => {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${longhaul.url}/v1/jobs`, { method: 'POST', headers, body: JSON.stringify(body) });
  // biome-ignore lint/suspicious/noExplicitAny: jobs and errors of all shapes
  return { status: response.status, body: (await response.json()) as any };
};
const files = async () => (await longhaul.client.files.list()).data.map(({ filename }) => filename);

it('asks every question of every document, tells each item as it finishes, and writes three formats', async () => {
  const { id: fileId } = await longhaul.client.files.create({
    file: await toFile(Buffer.from(paper), 'paper.txt'),
    purpose: 'user_data',
  });
  const { status, body: job } = await post({
    documents: [fileId, { id: 'opinion', text: opinion }],
    questions: ['What is this about?', { id: 'who', text: 'Who wrote "this", and when?' }],
    options: { max_completion_tokens: 4, temperature: 0 },
    metadata: { name: 'a job' },
  });
  expect(status).toBe(200);
  expect(job).toMatchObject({
    object: 'job',
    status: 'validating',
    completion_window: '24h',
    metadata: { name: 'a job' },
  });

  const response = await get(`/${job.id}/events`);
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  const events = (await response.text())
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => event.slice(6));
  expect(events.pop()).toBe('[DONE]');
  const [began, ...later] = events.map((event) => JSON.parse(event));
  const ended = later.pop();
  expect(began).toMatchObject({ object: 'job', id: job.id });
  expect(ended).toMatchObject({
    object: 'job',
    status: 'completed',
    request_counts: { total: 4, completed: 4, failed: 0 },
  });
  expect(later.map(({ object, index }) => `${object} ${index}`).sort()).toEqual(
    [0, 1, 2, 3].map((i) => `job.item ${i}`),
  );

  const rows = (await (await get(`/${job.id}/results?format=json`)).json()) as Row[];
  expect(rows.map(({ custom_id, document, question }) => [custom_id, document, question])).toEqual([
    [`${fileId}#1`, 'paper.txt', 'What is this about?'],
    [`${fileId}#who`, 'paper.txt', 'Who wrote "this", and when?'],
    ['opinion#1', 'opinion', 'What is this about?'],
    ['opinion#who', 'opinion', 'Who wrote "this", and when?'],
  ]);
  for (const row of rows) expect(row).toMatchObject({ answer: expect.stringMatching(/\w/), error: null });
  const told = later.sort((a, b) => a.index - b.index).flatMap((event) => event.rows);
  expect(told).toEqual(rows);

  const jsonl = await get(`/${job.id}/results`);
  expect(jsonl.headers.get('content-type')).toBe('application/jsonl; charset=utf-8');
  expect(
    (await jsonl.text())
      .trim()
      .split('\n')
      .map((one) => JSON.parse(one)),
  ).toEqual(rows);
  const csv = await (await get(`/${job.id}/results?format=csv`)).text();
  expect(csv.split('\r\n')[2]).toContain(`paper.txt,"Who wrote ""this"", and when?",0,`);

  // It is a batch as well.
  expect((await endOfBatch(longhaul, job.id)).output_file_id).toMatch(/^file-/);
  expect((await (await get('')).json()).data[0].id).toBe(job.id);
});

it('asks pairs, shows what is finished while it runs, and stops when it is told to', async () => {
  const { body: job } = await post({
    documents: [
      { id: 'paper', text: paper },
      { id: 'opinion', text: opinion },
    ],
    questions: ['Tell a long story.', 'Tell a longer story.'],
    pairs: [
      [1, 0],
      [0, 1],
    ],
    // Answers that cannot end before 2,000 tokens.
    options: {
      max_completion_tokens: 2000,
      temperature: 0,
      logit_bias: { [END_OF_TEXT]: -100, [END_OF_MESSAGE]: -100 },
    },
  });
  expect(await (await get(`/${job.id}/results?format=json`)).json()).toEqual([]);
  await until(async () => (await longhaul.client.batches.retrieve(job.id)).status === 'in_progress');
  const response = await fetch(`${longhaul.url}/v1/jobs/${job.id}/cancel`, { method: 'POST' });
  expect(await response.json()).toMatchObject({ object: 'job', status: 'cancelling' });
  expect((await endOfBatch(longhaul, job.id)).status).toBe('cancelled');
  const events = await (await get(`/${job.id}/events`)).text();
  expect(events).toContain('"status":"cancelled"');
  const rows = (await (await get(`/${job.id}/results?format=json`)).json()) as Row[];
  expect(rows.map(({ custom_id, answer }) => [custom_id, answer])).toEqual([
    ['opinion#1', null],
    ['paper#2', null],
  ]);
});

it('gives rows of any batch, those of lines that could not be answered too', async () => {
  const message = { model: 'other', messages: [{ role: 'user', content: 'Hi' }] };
  const id = await startBatch(longhaul, [line('plain', message), 'no JSON']);
  await endOfBatch(longhaul, id);
  const rows = (await (await get(`/${id}/results?format=json`)).json()) as Row[];
  expect(rows).toMatchObject([
    { custom_id: 'plain', document: null, question: null, answer: null, error: expect.stringContaining('other') },
    { custom_id: null, answer: null, error: expect.stringContaining('JSON') },
  ]);
});

it('refuses what is wrong before anything is made of it', async () => {
  const lines = await toFile(Buffer.from('{}\n'), 'a.jsonl');
  const { id: batchFile } = await longhaul.client.files.create({ file: lines, purpose: 'batch' });
  const before = await files();
  const fine = { documents: [{ text: paper }], questions: ['Why?'] };
  const wrong: [body: object, status: number, param: string | null][] = [
    [{}, 400, 'documents'],
    [{ ...fine, colour: 1 }, 400, 'colour'],
    [{ ...fine, model: 'other' }, 404, 'model'],
    [{ ...fine, options: { temperature: 9 } }, 400, 'options.temperature'],
    [{ ...fine, compression: { policy: 'zip' } }, 400, 'compression.policy'],
    [{ ...fine, completion_window: 'soon' }, 400, 'completion_window'],
    [{ ...fine, documents: [{ text: paper }, 'file-none'] }, 404, 'documents[1]'],
    [{ ...fine, documents: [batchFile] }, 400, 'documents[0]'],
    [{ ...fine, documents: [{ text: 'half: \ud800' }] }, 400, 'documents[0].text'],
    [{ ...fine, options: { mood: 1 } }, 400, 'options.mood'],
    [{ ...fine, questions: Array.from({ length: 50_001 }, (_, i) => `${i}?`) }, 400, 'questions'],
  ];
  for (const [body, status, param] of wrong) {
    const found = await post(body);
    expect([found.status, found.body.error.param]).toEqual([status, param]);
  }
  expect(await files()).toEqual(before);
  expect((await get('/batch_none/events')).status).toBe(404);
  expect((await get('/batch_none/results')).status).toBe(404);
  expect((await (await get('/batch_none/results?format=xml')).json()).error.param).toBe('format');
});
