// Receives the end of every batch. Longhaul tells it to whom LONGHAUL_WEBHOOK_URL names:
//
//   export LONGHAUL_WEBHOOK_SECRET="whsec_$(openssl rand -base64 32)"
//   node dist/examples/receive-webhooks.js &
//   LONGHAUL_WEBHOOK_URL=http://127.0.0.1:9000 LONGHAUL_WEBHOOK_PRIVATE=true npm start
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import OpenAI from 'openai';

const webhookSecret = process.env['LONGHAUL_WEBHOOK_SECRET'];
if (!webhookSecret) throw new Error('LONGHAUL_WEBHOOK_SECRET is not set: give it the same value as Longhaul has.');
const { webhooks } = new OpenAI({ apiKey: 'none needed', webhookSecret });

const server = createServer(async (request, response) => {
  try {
    const { type, data } = await webhooks.unwrap(await text(request), request.headers as Record<string, string>);
    console.log('id' in data ? `${type} ${data.id}` : type);
    response.writeHead(204).end();
  } catch (error) {
    // Not from Longhaul, or changed on its way. Whoever sent it may try again.
    console.error(String(error));
    response.writeHead(400).end();
  }
});
server.listen(Number(process.env['PORT'] ?? 9000), '127.0.0.1', () => console.log('listening'));
