export { type ContinuationOptions, type ContinuationTask, continuationTasks } from './continuation-tasks.js';
export { SeedOutOfRangeError, TooLittleTextError, UnfitLengthError } from './errors.js';
export { RETRIEVAL_TASKS, type RetrievalTask } from './planted-facts.js';
export { type RetrievalOptions, type RetrievalRow, retrievalTasks } from './retrieval-tasks.js';
export { SeededRandom } from './seeded-random.js';
export { SEED_RANGES, type Split, seedOf, splitOf } from './splits.js';
