// Facts out of a document as JSON of a schema, streamed, with the openai client. Longhaul must be running (npm start).
//
//   node dist/examples/stream-with-openai-client.js [document]
import { createReadStream } from 'node:fs';
import OpenAI from 'openai';

const [path = 'examples/opinions/greene_v_fisher.pdf'] = process.argv.slice(2);

const client = new OpenAI({
  baseURL: `${process.env['LONGHAUL_URL'] ?? 'http://127.0.0.1:8080'}/v1`,
  apiKey: process.env['LONGHAUL_API_KEY'] ?? 'none needed',
});
const model = (await client.models.list()).data[0]!.id;
const document = await client.files.create({ purpose: 'user_data', file: createReadStream(path) });

// Whatever the model would rather say, its answer is JSON of this schema.
const schema = {
  type: 'object',
  properties: {
    justice: { enum: ['Alito', 'Breyer', 'Ginsburg', 'Kagan', 'Kennedy', 'Roberts', 'Scalia', 'Sotomayor', 'Thomas'] },
    decided: { type: 'string', format: 'date' },
  },
  required: ['justice', 'decided'],
  additionalProperties: false,
};
const stream = await client.chat.completions.create({
  model,
  stream: true,
  stream_options: { include_usage: true },
  temperature: 0,
  max_completion_tokens: 80,
  response_format: { type: 'json_schema', json_schema: { name: 'opinion', strict: true, schema } },
  messages: [
    {
      role: 'user',
      content: [
        { type: 'file', file: { file_id: document.id } },
        { type: 'text', text: 'Which justice delivered the opinion, and on what date was the case decided?' },
      ],
    },
  ],
});

let answer = '';
for await (const { choices, usage } of stream) {
  const piece = choices[0]?.delta.content ?? '';
  process.stdout.write(piece);
  answer += piece;
  if (usage) console.log(`\n${usage.prompt_tokens} tokens read, ${usage.completion_tokens} written`);
}
const facts = JSON.parse(answer) as { justice: string; decided: string };
console.log(`${facts.justice}, ${facts.decided}`);
