import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

/** The built API as a process of its own (`npx nest build api` first). */
export interface ApiProcess {
  readonly url: string;
  readonly child: ChildProcess;
  /** What it has printed so far. */
  output(): string;
  /** SIGTERM, then its exit code (or the signal that ended it). */
  stop(): Promise<number | NodeJS.Signals>;
}

/** Starts the API on a free port and waits until it listens; throws with its output where it ends instead. */
export async function startApi(env: Record<string, string>): Promise<ApiProcess> {
  const port = await freePort();
  const { child, output, ended } = launchApi({ PORT: String(port), ...env });
  const ready = once(child, 'message').then(() => undefined);
  const end = await Promise.race([ready, ended]);
  if (end !== undefined) throw new Error(`The API ended with ${end}:\n${output()}`);
  return {
    url: `http://127.0.0.1:${port}`,
    child,
    output,
    async stop() {
      child.kill('SIGTERM');
      return ended;
    },
  };
}

/** Starts the API without waiting for it. */
export function launchApi(env: Record<string, string>): {
  child: ChildProcess;
  output: () => string;
  ended: Promise<number | NodeJS.Signals>;
} {
  const child = spawn(process.execPath, ['dist/apps/api/src/main.js'], {
    env: { ...process.env, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (printed += String(chunk)));
  // `close`, not `exit`: by then all it printed has arrived.
  const ended = once(child, 'close').then(([code, signal]) => (signal ?? code) as number | NodeJS.Signals);
  return { child, output: () => printed, ended };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
