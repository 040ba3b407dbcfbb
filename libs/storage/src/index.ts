export { BlobNotFoundError, BlobStorageError, BlobTooLargeError, InvalidBlobKeyError } from './blob-errors.js';
export { BlobStore, type StoredBlob } from './blob-store.js';
export { FileSystemBlobStore } from './file-system-blob-store.js';
