import { toBatchObject } from '../batches/batch-object.js';
import type { CountedBatch } from '../batches/batches.service.js';

/** A job: the batch that it is, under OpenAI's field names. */
export const toJobObject = (batch: CountedBatch) => ({ ...toBatchObject(batch), object: 'job' });
