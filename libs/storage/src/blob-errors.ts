/** No blob has this key. */
export class BlobNotFoundError extends Error {
  override readonly name = 'BlobNotFoundError';

  constructor(readonly key: string) {
    super(`No blob is stored under '${key}'. It was deleted, or never written.`);
  }
}

/** The source was longer than the caller allows; nothing was stored. */
export class BlobTooLargeError extends Error {
  override readonly name = 'BlobTooLargeError';

  constructor(
    readonly key: string,
    readonly maxBytes: number,
  ) {
    super(`The content of '${key}' is larger than the ${maxBytes} bytes allowed. Send less, or raise the limit.`);
  }
}

/** A key that could lead out of the store, or that no file can have. */
export class InvalidBlobKeyError extends Error {
  override readonly name = 'InvalidBlobKeyError';

  constructor(readonly key: string) {
    super(
      'A blob key is made of parts joined by "/", each of letters, digits, ".", "_" and "-" beginning with a letter or ' +
        `digit, at most 512 characters in all, and no part is another blob's key. Found ${JSON.stringify(key.slice(0, 600))}.`,
    );
  }
}

/** The disk refused: full, not writable, read-only. Nothing was stored. */
export class BlobStorageError extends Error {
  override readonly name = 'BlobStorageError';

  constructor(
    readonly directory: string,
    /** What the operating system said: ENOSPC, EACCES ... */
    readonly code: string,
    options?: ErrorOptions,
  ) {
    super(`Cannot store in '${directory}' (${code}): ${REMEDIES[code] ?? 'check the disk it is on'}.`, options);
  }
}

const REMEDIES: Record<string, string> = {
  ENOSPC: 'the disk is full; free some space or set LONGHAUL_DATA_DIR to a directory on another disk',
  EDQUOT: "the user's quota is used up; free some space or set LONGHAUL_DATA_DIR to a directory on another disk",
  EACCES:
    'no permission; give the user that runs Longhaul write access, or set LONGHAUL_DATA_DIR to a directory it owns',
  EPERM:
    'no permission; give the user that runs Longhaul write access, or set LONGHAUL_DATA_DIR to a directory it owns',
  ENOTDIR: 'a file is in the way; set LONGHAUL_DATA_DIR to a directory',
  EEXIST: 'a file is in the way; set LONGHAUL_DATA_DIR to a directory',
  EROFS: 'the file system is read-only; set LONGHAUL_DATA_DIR to a directory that can be written',
};
