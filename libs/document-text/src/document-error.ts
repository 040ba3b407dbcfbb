/** Why a document has no text for a model. The codes are part of the API: an item's error carries them. */
export type DocumentErrorCode =
  | 'broken_document'
  | 'document_too_large'
  | 'empty_file'
  | 'encrypted_document'
  | 'extraction_out_of_memory'
  | 'extraction_timeout'
  | 'invalid_encoding'
  | 'no_text_in_document'
  | 'unsupported_document';

/** A document that cannot be read, for a reason in the document; the message says what to do about it. */
export class DocumentError extends Error {
  override readonly name = 'DocumentError';

  constructor(
    readonly code: DocumentErrorCode,
    message: string,
  ) {
    super(message);
  }
}
