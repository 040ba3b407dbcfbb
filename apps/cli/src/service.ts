import { type Command, Option } from 'commander';
import { CliError, EXIT, UsageError } from './cli-error.js';
import { LonghaulClient } from './longhaul-client.js';

/** The options that every command has. */
export const SERVICE_OPTIONS = [
  new Option('--url <address>', 'where the service is').env('LONGHAUL_URL').default('http://127.0.0.1:8080'),
  new Option('--json', 'print JSON instead of text, errors too (to stderr)'),
];

/** What a command that talks to the service works with. */
export interface Service {
  readonly client: LonghaulClient;
  readonly json: boolean;
  /** Aborted by Ctrl-C; a second one ends the process at once. */
  readonly signal: AbortSignal;
}

export function serviceOf(command: Command): Service {
  const { url, json } = command.optsWithGlobals<{ url: string; json?: true }>();
  const interruption = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => interruption.abort(new CliError('interrupted', EXIT.interrupted, 'interrupted')));
  }
  return {
    client: new LonghaulClient(baseUrl(url), apiKey(), interruption.signal),
    json: json === true,
    signal: interruption.signal,
  };
}

/** Of the environment alone: what stands on a command line can be read by every user of the machine. */
function apiKey(): string | undefined {
  const key = process.env['LONGHAUL_API_KEY']?.trim();
  if (!key) return undefined;
  if (!/^[\x21-\x7e]+$/.test(key))
    throw new UsageError("LONGHAUL_API_KEY is no key: 'longhaul keys create' makes one.");
  return key;
}

/** Prints a value for programs, on a line. */
export const printJson = (value: unknown): void => console.log(JSON.stringify(value));

/** Says to stderr why nothing moves: a sentence, or JSON as errors are. */
export function tellNoWorker(json: boolean): void {
  const message = 'No worker is connected: the batch waits until one is.';
  console.error(json ? JSON.stringify({ warning: { message, code: 'no_worker' } }) : message);
}

/** The address without a path: what the OpenAI client calls baseURL ends in /v1. */
function baseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    throw new UsageError(`--url: expected an address such as http://127.0.0.1:8080, found '${text}'.`);
  }
  return `${url.origin}${url.pathname}`.replace(/\/+(v1\/*)?$/, '');
}
