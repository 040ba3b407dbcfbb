// Two questions about one document, as a batch, with the openai client. Start Longhaul first: npm start
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import OpenAI, { toFile } from 'openai';

const client = new OpenAI({
  baseURL: `${process.env.LONGHAUL_URL ?? 'http://127.0.0.1:8080'}/v1`,
  apiKey: 'none needed',
});

const document = await client.files.create({
  purpose: 'user_data',
  file: createReadStream(join(import.meta.dirname, 'documents/scotus_greene_v_fisher.txt')),
});

const questions = {
  justice: 'Which justice delivered the opinion of the Court?',
  crime: 'Of what crime did the jury convict Greene?',
};
const lines = Object.entries(questions).map(([custom_id, text]) => ({
  custom_id,
  method: 'POST',
  url: '/v1/chat/completions',
  body: {
    model: 'smollm2-135m-instruct',
    temperature: 0,
    max_completion_tokens: 48,
    messages: [
      {
        role: 'user',
        content: [
          { type: 'file', file: { file_id: document.id } },
          { type: 'text', text },
        ],
      },
    ],
  },
}));
const input = await client.files.create({
  purpose: 'batch',
  file: await toFile(Buffer.from(lines.map((line) => JSON.stringify(line)).join('\n')), 'questions.jsonl'),
});

let batch = await client.batches.create({
  input_file_id: input.id,
  endpoint: '/v1/chat/completions',
  completion_window: '24h',
});
while (!['completed', 'failed'].includes(batch.status)) {
  await setTimeout(1000);
  batch = await client.batches.retrieve(batch.id);
  console.log(batch.status, batch.request_counts);
}

const output = await client.files.content(batch.output_file_id);
for (const line of (await output.text()).trim().split('\n')) {
  const { custom_id, response } = JSON.parse(line);
  console.log(`${custom_id}: ${response.body.choices[0].message.content}`);
}
