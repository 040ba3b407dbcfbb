export { DocumentError, type DocumentErrorCode } from './document-error.js';
export { type DocumentKind, documentKind, HEAD_BYTES } from './document-kind.js';
export {
  assertSize,
  EXTRACTION_LIMITS,
  EXTRACTOR_VERSION,
  type ExtractionLimits,
  extractText,
} from './extract-text.js';
