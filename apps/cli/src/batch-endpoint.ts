import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

/** What most batch files are for. */
const CHAT = '/v1/chat/completions';

/**
 * The endpoint that a batch file's first line has. Where it cannot be told, that of chats: the service then says of the line
 * what is wrong with it.
 */
export async function endpointOf(path: string): Promise<string> {
  const source = createReadStream(path);
  try {
    for await (const line of createInterface({ input: source })) {
      if (line.trim() !== '') return urlOf(line.replace(/^\ufeff/, '')) ?? CHAT;
    }
  } finally {
    source.destroy();
  }
  return CHAT;
}

function urlOf(line: string): string | undefined {
  try {
    const { url } = JSON.parse(line) as { url?: unknown };
    return typeof url === 'string' ? url : undefined;
  } catch {
    return undefined;
  }
}
