import type { Config } from '@app/config';
import { EXTRACTION_LIMITS, type ExtractionLimits } from '@app/document-text';

/** What reading one document may take, as configured. */
export const extractionLimits = ({ documentSeconds, documentMemoryBytes }: Config): ExtractionLimits => ({
  ...EXTRACTION_LIMITS,
  seconds: documentSeconds,
  memoryBytes: documentMemoryBytes,
});
