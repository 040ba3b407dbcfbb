export {
  type BatchError,
  type BatchRecord,
  type BatchStatus,
  BatchStore,
  ENDED_STATUSES,
  newBatchId,
} from './batch-record.js';
export { type FilePurpose, type FileRecord, FileStore, fileBlobKey, newFileId } from './file-record.js';
export { ApiError, type OpenAiErrorBody, type OpenAiErrorType } from './openai-error.js';
export * from './queues.js';
