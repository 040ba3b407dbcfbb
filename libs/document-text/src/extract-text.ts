import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { DocumentError } from './document-error.js';
import type { ExtractedKind, ExtractionReply, ExtractionTask } from './extraction.js';

/** What reading one document may take. */
export interface ExtractionLimits {
  /** Size of the document. */
  readonly maxBytes: number;
  /** Length of its text. */
  readonly maxCharacters: number;
  readonly seconds: number;
  /** Resident memory of the process that reads it, some 80 MiB of it the process itself. */
  readonly memoryBytes: number;
}

const MIB = 1024 * 1024;

export const EXTRACTION_LIMITS: ExtractionLimits = {
  maxBytes: 64 * MIB,
  maxCharacters: 32 * MIB,
  seconds: 60,
  memoryBytes: 768 * MIB,
};

/** Changes whenever the same document may give another text, so that texts kept from before are not used any more. */
export const EXTRACTOR_VERSION = 1;

/** Documents read at a time; the others wait, so that a worker's memory stays bounded. */
const MAX_PROCESSES = 2;
/** So much later the process ends itself, if its caller could not. */
const GRACE_SECONDS = 5;
/** How its own watch and V8 end the process for want of memory. */
const OUT_OF_MEMORY: ReadonlySet<NodeJS.Signals> = new Set(['SIGKILL', 'SIGABRT', 'SIGTRAP']);
const PROCESS = fileURLToPath(new URL('./extraction-process.js', import.meta.url));

/**
 * The text of a document, read in a process of its own, so that a hostile one can neither stop the caller's event loop
 * nor take more time and memory than it is given, nor see the caller's environment.
 * @throws DocumentError; the signal's reason when it is aborted; any other error where the process cannot be started
 */
export async function extractText(
  kind: ExtractedKind,
  bytes: Uint8Array,
  limits: ExtractionLimits = EXTRACTION_LIMITS,
  signal?: AbortSignal,
): Promise<string> {
  assertSize(bytes.byteLength, limits);
  return inTurn(() => readInProcess(kind, bytes, limits, signal));
}

/** @throws DocumentError for a document that is larger than allowed, so that it need not be read first */
export function assertSize(bytes: number, { maxBytes }: ExtractionLimits): void {
  if (bytes === 0) throw new DocumentError('empty_file', 'The document is empty (0 bytes).');
  if (bytes <= maxBytes) return;
  throw new DocumentError(
    'document_too_large',
    `The document has ${bytes} bytes, at most ${maxBytes} are read. Split it, or upload its text.`,
  );
}

let running = 0;
const waiting: (() => void)[] = [];

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running < MAX_PROCESSES) running++;
  else await new Promise<void>((resolve) => waiting.push(resolve));
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else running--;
  }
}

async function readInProcess(
  kind: ExtractedKind,
  bytes: Uint8Array,
  limits: ExtractionLimits,
  signal: AbortSignal | undefined,
): Promise<string> {
  signal?.throwIfAborted();
  const { maxCharacters, memoryBytes, seconds } = limits;
  const maxSeconds = seconds + GRACE_SECONDS;
  const task: ExtractionTask = { kind, maxCharacters, maxMemoryBytes: memoryBytes, maxSeconds };
  const child = fork(PROCESS, [JSON.stringify(task)], {
    execArgv: [`--max-old-space-size=${Math.ceil(memoryBytes / MIB)}`],
    env: {},
    serialization: 'advanced',
    stdio: ['pipe', 'ignore', 'ignore', 'ipc'],
    // A Ctrl-C that is meant for the caller must not look like a document that cannot be read.
    detached: true,
  });
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(tookTooLong(seconds)), seconds * 1000);
  const abort = () => stop.abort(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    // A process that ended does not read on; how it ended says more.
    child.stdin!.on('error', () => undefined);
    child.stdin!.end(bytes);
    const reply = await replyOf(child, memoryBytes, stop.signal);
    if ('text' in reply) return reply.text;
    throw new DocumentError(reply.refused.code, reply.refused.message);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
    child.kill('SIGKILL');
  }
}

function replyOf(child: ChildProcess, memoryBytes: number, stop: AbortSignal): Promise<ExtractionReply> {
  return new Promise((resolve, reject) => {
    child.once('message', (reply) => resolve(reply as ExtractionReply));
    child.on('error', reject);
    child.once('exit', (code, signal) =>
      reject(signal !== null && OUT_OF_MEMORY.has(signal) ? outOfMemory(memoryBytes) : endedEarly(signal ?? code)),
    );
    stop.addEventListener('abort', () => reject(stop.reason), { once: true });
  });
}

const tookTooLong = (seconds: number): DocumentError =>
  new DocumentError(
    'extraction_timeout',
    `The document took longer than ${seconds} s to read. Split it, or upload its text.`,
  );

const outOfMemory = (bytes: number): DocumentError =>
  new DocumentError(
    'extraction_out_of_memory',
    `The document took more than ${Math.round(bytes / MIB)} MiB of memory to read. Split it, or upload its text.`,
  );

const endedEarly = (how: string | number | null): Error =>
  new Error(`The document reader was ended from outside or could not begin (${how}). Is the installation whole?`);
