import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePort } from './redis-server.js';
import { missingLine, type Step, stepsOf } from './walkthrough.js';

const root = join(import.meta.dirname, '..');
const WEBHOOK_SECRET = `whsec_${Buffer.alloc(24, 'secret').toString('base64')}`;

let folder: string;
let url: string;
let env: NodeJS.ProcessEnv;
let receiver: Running;
/** `npm start` of the walk-through. */
let service: Running | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-examples-'));
  await mkdir(join(root, '.longhaul/graphs'), { recursive: true });
  await symlink(join(root, '.longhaul/graphs'), join(folder, 'graphs')); // made from the model once for all tests
  const [port, webhookPort] = [await freePort(), await freePort()];
  url = `http://127.0.0.1:${port}`;
  const { REDIS_URL: _, ...inherited } = process.env;
  env = {
    ...inherited,
    PORT: String(port),
    LONGHAUL_URL: url,
    LONGHAUL_DATA_DIR: folder,
    LONGHAUL_WEBHOOK_URL: `http://127.0.0.1:${webhookPort}/`,
    LONGHAUL_WEBHOOK_SECRET: WEBHOOK_SECRET,
    LONGHAUL_WEBHOOK_PRIVATE: 'true',
  };
  receiver = new Running('node dist/examples/receive-webhooks.js', { ...env, PORT: String(webhookPort) });
  await receiver.printed(/listening/);
});
afterAll(async () => {
  service?.kill('SIGKILL');
  receiver?.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

/** A command that goes on, as in a terminal: what it starts is in one process group with it. */
class Running {
  output = '';
  readonly child: ChildProcess;
  readonly closed: Promise<unknown[]>;

  constructor(command: string, environment: NodeJS.ProcessEnv) {
    this.child = spawn('bash', ['-c', `exec ${command}`], {
      cwd: root,
      env: environment,
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    this.closed = once(this.child, 'close');
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.on('data', (chunk) => {
        this.output += chunk;
        this.child.emit('output');
      });
    }
  }

  /** SIGINT is what Ctrl-C does. */
  kill(signal: 'SIGINT' | 'SIGKILL'): void {
    if (this.child.exitCode === null && this.child.signalCode === null) process.kill(-this.child.pid!, signal);
  }

  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.output);
      if (found) return found;
      await Promise.race([
        once(this.child, 'output'),
        this.closed.then(() => {
          if (!pattern.test(this.output)) throw new Error(`ended without ${pattern}:\n${this.output}`);
        }),
      ]);
    }
  }
}

/** Runs an example to its end. */
async function run(command: string, ...args: string[]): Promise<{ out: string; err: string }> {
  const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  expect({ command, args, code, out, err }).toMatchObject({ code: 0 });
  return { out, err };
}

const page = await readFile(join(root, 'docs/walkthrough.md'), 'utf8');

it('the walk-through prints what it shows', async () => {
  const terminal = new Running('bash -e -o pipefail', env);
  const END = '\u001e';
  for (const step of stepsOf(page.replaceAll('http://127.0.0.1:8080', url))) {
    if (step.commands === 'npm start\n') {
      service = new Running('npm start', env);
      await service.printed(/Longhaul is ready/);
      check(step, service.output);
    } else if (step.commands !== '') {
      const from = terminal.output.length;
      terminal.child.stdin!.write(`{ ${step.commands}} </dev/null 2>&1; echo "${END}${step.line}:"\n`);
      await terminal.printed(new RegExp(`${END}${step.line}:`));
      check(step, terminal.output.slice(from));
    }
  }
  terminal.child.stdin!.end();
  await terminal.closed;
});

function check({ line, shown }: Step, printed: string): void {
  const found = { where: `docs/walkthrough.md, line ${line}`, missing: missingLine(shown, printed), printed };
  expect(found).toMatchObject({ missing: undefined });
}

it('the examples answer', async () => {
  const [batch, streamed, curlBatch, curlJob] = await Promise.all([
    run('node', 'dist/examples/batch-with-openai-client.js'),
    run('node', 'dist/examples/stream-with-openai-client.js'),
    run('examples/batch-with-curl.sh'),
    run('examples/job-with-curl.sh'),
  ]);
  expect(batch.out).toMatch(/^batch_\w+ completed: 2 of 2 answered\nquestion-1: .+\n[\s\S]*^question-2: /m);

  const [, json, facts] = /^({[\s\S]+})\s+\d+ tokens read, \d+ written\n(.+)\n$/.exec(streamed.out) ?? [];
  const { justice, decided } = JSON.parse(json!) as { justice: string; decided: string };
  expect(facts).toBe(`${justice}, ${decided}`);

  const lines = curlBatch.out.split('\n').filter((line) => line.startsWith('{'));
  const answers = lines.map((line) => JSON.parse(line) as { response: { body: OpenAI.ChatCompletion } });
  const answer = expect.stringMatching(/\w/);
  expect(answers.map(({ response }) => response.body.choices[0]!.message.content)).toEqual([answer, answer]);

  expect(curlJob.err.match(/^answered: .+#[123]$/gm)).toHaveLength(9);
  expect(curlJob.out).toMatch(/^custom_id,document,question,/);
  expect(curlJob.out).toMatch(
    /^staub_v_proctor_hospital\.pdf#3,staub_v_proctor_hospital\.pdf,What is this case about\?,0,/m,
  );
});

it('webhooks have told the end of every batch, and Ctrl-C ends the service', async () => {
  const ended = /^batch\.completed batch_\w+$/gm;
  const told = () => new Set(receiver.output.match(ended)).size;
  // One may be told twice.
  while (told() < 6) await once(receiver.child, 'output');
  service!.kill('SIGINT');
  await service!.closed;
  const ends = stepsOf(page).filter(({ commands }) => commands === '');
  expect(ends).toHaveLength(1);
  check(ends[0]!, service!.output);
  expect(told()).toBe(6);
});
