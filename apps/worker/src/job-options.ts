import type { Config } from '@app/config';

/** BullMQ's own bound would fail a job whose workers were killed; ours is LONGHAUL_MAX_GROUP_ATTEMPTS. */
const MAX_STALLED_COUNT = 1_000_000;
/** Jobs that failed stay for a week, for whoever asks why. */
const REMOVE_ON_FAIL = { age: 7 * 24 * 3600, count: 10_000 };

/** How every queue's jobs are taken, whoever takes them. */
export const jobOptions = ({ lockSeconds }: Config) => ({
  lockDuration: lockSeconds * 1000,
  stalledInterval: lockSeconds * 1000,
  maxStalledCount: MAX_STALLED_COUNT,
  removeOnFail: REMOVE_ON_FAIL,
});
