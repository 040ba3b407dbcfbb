import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import OpenAI, { toFile } from 'openai';
import { freePort } from './redis-server.js';

const root = join(import.meta.dirname, '..');

/** A real process of one of the apps, as built into dist/. Ends when the test run does: it watches its channel. */
export class AppProcess {
  /** Everything it printed, line by line. */
  readonly lines: string[] = [];
  private readonly child: ChildProcess;
  private readonly exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;

  constructor(
    readonly app: 'api' | 'worker',
    env: NodeJS.ProcessEnv,
  ) {
    this.child = spawn(process.execPath, ['--enable-source-maps', join(root, `dist/apps/${app}/src/main.js`)], {
      cwd: root,
      env: { ...process.env, NO_COLOR: '1', ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      createInterface(stream).on('line', (line) => {
        this.lines.push(line);
        this.child.emit('line', line);
      });
    }
    this.exit = once(this.child, 'close').then(([code, signal]) => ({ code, signal }));
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** Resolves when it says over its channel that it is ready; rejects with its output where it ends before. */
  async ready(): Promise<void> {
    await this.until(once(this.child, 'message'), 'ready');
  }

  /** Resolves when `count` lines match, those printed already included. */
  async printed(pattern: RegExp, count = 1): Promise<void> {
    while (this.count(pattern) < count) await this.until(once(this.child, 'line'), String(pattern));
  }

  count(pattern: RegExp): number {
    return this.lines.filter((line) => pattern.test(line)).length;
  }

  exited(): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    return this.exit;
  }

  async kill(signal: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    this.child.kill(signal);
    return this.exit;
  }

  private async until(event: Promise<unknown>, what: string): Promise<void> {
    const ended = this.exit.then(({ code, signal }) => {
      throw new Error(`${this.app} ended (${signal ?? code}) before '${what}':\n${this.lines.join('\n')}`);
    });
    await Promise.race([event, ended]);
  }
}

/** API and worker of one test, and a client for them. */
export interface Longhaul {
  readonly client: OpenAI;
  readonly url: string;
  readonly dataDir: string;
  readonly api: AppProcess;
  /** The newest worker. */
  readonly worker: AppProcess;
  /** Every worker that was started. */
  readonly workers: readonly AppProcess[];
  /** @param more of the environment, for this one only */
  startWorker(more?: NodeJS.ProcessEnv): Promise<AppProcess>;
  stop(): Promise<void>;
}

/**
 * Starts API and worker on `redisUrl` with data of their own, and waits until both are ready.
 * @param prepare puts files into the data folder, and says what more of the environment follows from them
 */
export async function startLonghaul(
  redisUrl: string,
  env: NodeJS.ProcessEnv = {},
  prepare: (dataDir: string) => NodeJS.ProcessEnv = () => ({}),
): Promise<Longhaul> {
  const dataDir = await mkdtemp(join(tmpdir(), 'longhaul-e2e-'));
  const port = await freePort();
  const settings = { PORT: String(port), REDIS_URL: redisUrl, LONGHAUL_DATA_DIR: dataDir, ...env, ...prepare(dataDir) };
  if (!('LONGHAUL_MODEL' in settings)) await shareGraphs(dataDir);
  const api = new AppProcess('api', settings);
  const workers: AppProcess[] = [];
  const startWorker = async (more: NodeJS.ProcessEnv = {}): Promise<AppProcess> => {
    const worker = new AppProcess('worker', { ...settings, ...more });
    workers.push(worker);
    await worker.ready();
    return worker;
  };
  const url = `http://127.0.0.1:${port}`;
  await Promise.all([api.ready(), startWorker()]);
  return {
    client: new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 }),
    url,
    dataDir,
    api,
    workers,
    get worker() {
      return workers.at(-1)!;
    },
    startWorker,
    async stop() {
      await Promise.all([api, ...workers].map((app) => app.kill('SIGKILL')));
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Lets all tests of the default model take the 375 MB of graphs and weights that the first of them makes. */
async function shareGraphs(dataDir: string): Promise<void> {
  const graphs = join(root, '.longhaul/graphs');
  await mkdir(graphs, { recursive: true });
  await symlink(graphs, join(dataDir, 'graphs'));
}

/** Uploads the lines as a batch file and starts the batch. Objects become JSON, strings and bytes stay as they are. */
export async function startBatch(
  { client }: Longhaul,
  lines: readonly (object | string)[] | Buffer,
  extra: object = {},
): Promise<string> {
  const content = Buffer.isBuffer(lines)
    ? lines
    : lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join('');
  const file = await client.files.create({ file: await toFile(Buffer.from(content), 'batch.jsonl'), purpose: 'batch' });
  const batch = await client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
    ...extra,
  });
  return batch.id;
}

/** Waits until the batch has ended. */
export async function endOfBatch({ client }: Longhaul, id: string): Promise<OpenAI.Batch> {
  for (;;) {
    const batch = await client.batches.retrieve(id);
    if (['completed', 'failed', 'expired', 'cancelled'].includes(batch.status)) return batch;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** One line of an output or error file. */
export interface OutputLine {
  readonly id: string;
  readonly custom_id: string | null;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of all shapes
  readonly response: { readonly status_code: number; readonly body: any } | null;
  readonly error: { readonly code: string; readonly message: string; readonly line?: number } | null;
}

/** The lines of an output or error file; none where there is no file. */
export async function fileLines({ client }: Longhaul, fileId: string | null | undefined): Promise<OutputLine[]> {
  if (!fileId) return [];
  const text = await (await client.files.content(fileId)).text();
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as OutputLine);
}

/** A batch line. */
export const line = (customId: string, body: object): object => ({
  custom_id: customId,
  method: 'POST',
  url: '/v1/chat/completions',
  body,
});
