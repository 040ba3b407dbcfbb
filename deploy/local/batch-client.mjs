// The few calls of the OpenAI API that the demo makes, with plain fetch.
import { SetupError } from './setup-error.mjs';

/**
 * A client of one server, with LONGHAUL_API_KEY; every call rejects with the server's own message, and its `status`, when
 * the answer is an error.
 * @throws SetupError where LONGHAUL_API_KEY holds what no header can.
 */
export function batchClient(baseUrl, signal) {
  const key = apiKey();
  const call = async (path, init) => {
    const headers = { ...init?.headers, ...(key && { authorization: `Bearer ${key}` }) };
    const response = await fetch(`${baseUrl}/v1${path}`, { ...init, headers, signal });
    if (response.ok) return response;
    const body = await response.text();
    const error = new Error(`${init?.method ?? 'GET'} ${path}: ${response.status} ${messageIn(body)}`);
    throw Object.assign(error, { status: response.status });
  };
  return {
    models: async () => (await (await call('/models')).json()).data,
    async upload(name, bytes, purpose) {
      const form = new FormData();
      form.set('purpose', purpose);
      form.set('file', new Blob([bytes]), name);
      return (await call('/files', { method: 'POST', body: form })).json();
    },
    async createBatch(inputFileId) {
      const body = { input_file_id: inputFileId, endpoint: '/v1/chat/completions', completion_window: '24h' };
      const headers = { 'content-type': 'application/json' };
      return (await call('/batches', { method: 'POST', headers, body: JSON.stringify(body) })).json();
    },
    batch: async (id) => (await call(`/batches/${id}`)).json(),
    content: async (fileId) => (await call(`/files/${fileId}/content`)).text(),
  };
}

/** As the command line takes it; its own error would show the key. */
function apiKey() {
  const key = process.env.LONGHAUL_API_KEY?.trim();
  if (!key || /^[\x21-\x7e]+$/.test(key)) return key;
  throw new SetupError("LONGHAUL_API_KEY is no key: 'longhaul keys create' makes one.");
}

function messageIn(body) {
  try {
    return JSON.parse(body).error.message;
  } catch {
    return body.slice(0, 200);
  }
}
