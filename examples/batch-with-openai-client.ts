// Questions about a document of your own, as a batch, with the openai client. Longhaul must be running (npm start).
//
//   node dist/examples/batch-with-openai-client.js [document] [question ...]
import { createReadStream } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import OpenAI, { toFile } from 'openai';

const [path = 'examples/opinions/greene_v_fisher.pdf', ...asked] = process.argv.slice(2);
const questions =
  asked.length > 0
    ? asked
    : ['What is the name of the justice who delivered the opinion?', 'On what date was the case decided?'];

const client = new OpenAI({
  baseURL: `${process.env['LONGHAUL_URL'] ?? 'http://127.0.0.1:8080'}/v1`,
  apiKey: process.env['LONGHAUL_API_KEY'] ?? 'none needed',
});
const model = (await client.models.list()).data[0]!.id;

// The document once; PDF, DOCX, HTML, Markdown or text.
const document = await client.files.create({ purpose: 'user_data', file: createReadStream(path) });

// A line for each question, every one naming the document by its id.
const lines = questions.map((text, i) => {
  const body: OpenAI.ChatCompletionCreateParamsNonStreaming = {
    model,
    temperature: 0,
    max_completion_tokens: 16,
    messages: [
      {
        role: 'user',
        content: [
          { type: 'file', file: { file_id: document.id } },
          { type: 'text', text },
        ],
      },
    ],
  };
  return JSON.stringify({ custom_id: `question-${i + 1}`, method: 'POST', url: '/v1/chat/completions', body });
});
const input = await client.files.create({
  purpose: 'batch',
  file: await toFile(Buffer.from(lines.join('\n')), 'questions.jsonl'),
});

let batch = await client.batches.create({
  input_file_id: input.id,
  endpoint: '/v1/chat/completions',
  completion_window: '24h',
});
while (!['completed', 'failed', 'expired', 'cancelled'].includes(batch.status)) {
  await setTimeout(500);
  batch = await client.batches.retrieve(batch.id);
}
console.log(`${batch.id} ${batch.status}: ${batch.request_counts?.completed} of ${questions.length} answered`);

// Answers are in the output file, requests that were refused in the error file; the order is not that of the lines.
for (const fileId of [batch.output_file_id, batch.error_file_id]) {
  if (!fileId) continue;
  const text = await (await client.files.content(fileId)).text();
  for (const line of text.trim().split('\n')) {
    const { custom_id, response } = JSON.parse(line) as { custom_id: string; response: { body: unknown } };
    const body = response.body as OpenAI.ChatCompletion & { error?: { message: string } };
    console.log(`${custom_id}: ${body.error?.message ?? body.choices[0]!.message.content}`);
  }
}
