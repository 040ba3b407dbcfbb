/**
 * The one owner of the Redis keys that results are gathered under. The batch id is a hash tag, so that all keys of one
 * batch live on one node of a Redis Cluster and a script may touch them together.
 */
export const resultKeys = (batchId: string) => ({
  /** Hash: item index -> `ItemResult` as JSON. */
  items: `longhaul:results:{${batchId}}:items`,
  /** Hash: total, completed, failed; input_tokens, cached_tokens, output_tokens; expires_at (Unix seconds) once the batch's end is known. */
  counts: `longhaul:results:{${batchId}}:counts`,
  /** Hash: group -> runs that began. */
  attempts: `longhaul:results:{${batchId}}:attempts`,
});

/** String: set while a batch or a chat completion is cancelled. */
export const cancelKey = (id: string): string => `longhaul:results:{${id}}:cancelled`;

/** Stream: pieces of a chat completion, as they are generated. */
export const piecesKey = (id: string): string => `longhaul:results:{${id}}:pieces`;

/** Channel that says that there are more pieces. */
export const piecesChannel = (id: string): string => `longhaul:pieces:{${id}}`;

/** Channel on which a cancellation is told. */
export const cancelChannel = (id: string): string => `longhaul:cancel:{${id}}`;

/** Channel of a batch's `ProgressEvent`s. */
export const progressChannel = (batchId: string): string => `longhaul:progress:{${batchId}}`;
