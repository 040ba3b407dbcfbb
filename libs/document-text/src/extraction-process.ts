import { buffer } from 'node:stream/consumers';
import { Worker } from 'node:worker_threads';
import { DocumentError } from './document-error.js';
import { docxText } from './docx-text.js';
import { reasonOf } from './extracted-text.js';
import type { ExtractedKind, ExtractionReply, ExtractionTask } from './extraction.js';
import { htmlText } from './html-text.js';
import { pdfText } from './pdf-text.js';

/** Main module of the process that `extractText` starts: reads one document and sends its text, or why there is none. */

const READERS: Readonly<Record<ExtractedKind, (bytes: Uint8Array, maxCharacters: number) => string | Promise<string>>> =
  { pdf: pdfText, docx: docxText, html: htmlText };

/**
 * Ends the process when it holds too much memory: Node's own limit knows of objects only and not of the buffers that a
 * decompression bomb fills. As the reading thread may be busy for long, another one has to look.
 */
const WATCH = `
const { maxMemoryBytes, maxSeconds } = require('node:worker_threads').workerData;
const end = () => process.kill(process.pid, 'SIGKILL');
setInterval(() => process.memoryUsage.rss() > maxMemoryBytes && end(), 20);
setTimeout(end, maxSeconds * 1000);
`;

const task = JSON.parse(process.argv[2]!) as ExtractionTask;
new Worker(WATCH, { eval: true, workerData: task }).unref();
// Nobody waits any more.
process.on('disconnect', () => process.exit());
// Some of a library's failures belong to no promise that we wait for.
process.on('uncaughtException', refuse);

try {
  reply({ text: await READERS[task.kind](await buffer(process.stdin), task.maxCharacters) });
} catch (error) {
  refuse(error);
}

function refuse(error: unknown): void {
  const { code, message } =
    error instanceof DocumentError
      ? error
      : new DocumentError('broken_document', `The document cannot be read (${reasonOf(error)}). Save it again.`);
  reply({ refused: { code, message } });
}

function reply(reply: ExtractionReply): void {
  process.send!(reply);
}
