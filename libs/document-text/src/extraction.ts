import type { DocumentErrorCode } from './document-error.js';
import type { DocumentKind } from './document-kind.js';

/** Kinds that need a library to read; text is taken as it is. */
export type ExtractedKind = Exclude<DocumentKind, 'text'>;

/** What the extraction process is told, as its only argument in JSON; the document comes over its standard input. */
export interface ExtractionTask {
  readonly kind: ExtractedKind;
  readonly maxCharacters: number;
  /** Resident memory at which the process ends itself. */
  readonly maxMemoryBytes: number;
  /** Time after which the process ends itself, should nobody be left to end it. */
  readonly maxSeconds: number;
}

/** What the extraction process sends back, once. */
export type ExtractionReply =
  | { readonly text: string }
  | { readonly refused: { readonly code: DocumentErrorCode; readonly message: string } };
