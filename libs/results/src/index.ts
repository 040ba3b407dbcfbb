export { AnswerStreams, type StreamedPiece } from './answer-streams.js';
export { Cancellations, type CancellationWatch } from './cancellations.js';
export { type ItemResult, isSuccess, type TokenUsage } from './item-result.js';
export { MissingResultsError, type OutputFiles, writeOutputFiles } from './output-files.js';
export {
  assertRedisReady,
  connectRedis,
  connectRedisForRequests,
  warnAboutRedisSettings,
} from './redis-connection.js';
export { isRedisUnavailable, RedisUnavailableError } from './redis-errors.js';
export { RedisResultStore } from './redis-result-store.js';
export { type ProgressEvent, type Recorded, type ResultCounts, ResultStore } from './result-store.js';
