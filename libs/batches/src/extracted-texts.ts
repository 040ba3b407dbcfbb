import { EXTRACTOR_VERSION } from '@app/document-text';
import { BlobNotFoundError, type BlobStore } from '@app/storage';

/** Where the text of a document with this content is kept, under the extractor's version as its first line. */
export const extractedTextKey = (sha256: string): string => `extracted/${sha256}`;

const FIRST_LINE = `${EXTRACTOR_VERSION}\n`;

/** The text that was extracted from this content before; undefined where there is none of this version. */
export async function findExtractedText(blobs: BlobStore, sha256: string): Promise<string | undefined> {
  try {
    const kept = (await blobs.read(extractedTextKey(sha256))).toString();
    return kept.startsWith(FIRST_LINE) ? kept.slice(FIRST_LINE.length) : undefined;
  } catch (error) {
    if (error instanceof BlobNotFoundError) return undefined;
    throw error;
  }
}

export async function keepExtractedText(blobs: BlobStore, sha256: string, text: string): Promise<void> {
  await blobs.put(extractedTextKey(sha256), FIRST_LINE + text);
}
