/**
 * The one owner of the Redis keys that results are gathered under. The batch id is a hash tag, so that all keys of one
 * batch live on one node of a Redis Cluster and a script may touch them together.
 */
export const resultKeys = (batchId: string) => ({
  /** Hash: item index -> `ItemResult` as JSON. */
  items: `longhaul:results:{${batchId}}:items`,
  /** Hash: total, completed, failed; expires_at (Unix seconds) once the batch's end is known. */
  counts: `longhaul:results:{${batchId}}:counts`,
  /** Hash: group -> runs that began. */
  attempts: `longhaul:results:{${batchId}}:attempts`,
});

/** Channel of a batch's `ProgressEvent`s. */
export const progressChannel = (batchId: string): string => `longhaul:progress:{${batchId}}`;
