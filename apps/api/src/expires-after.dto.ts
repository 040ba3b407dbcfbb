import type { ExpiresAfter } from '@app/batches';
import { Transform } from 'class-transformer';
import { Equals, IsInt, Max, Min } from 'class-validator';
import { asNumber } from './query-number.js';

/** As OpenAI's: an hour, 30 days. */
const MIN_SECONDS = 3600;
const MAX_SECONDS = 30 * 24 * 3600;
const RANGE = { message: `must be a whole number from ${MIN_SECONDS} (1 hour) to ${MAX_SECONDS} (30 days)` };

/** `expires_after` of a file, or `output_expires_after` of a batch. */
export class ExpiresAfterDto implements ExpiresAfter {
  @Equals('created_at', { message: "must be 'created_at'" })
  readonly anchor!: 'created_at';

  @Transform(asNumber)
  @IsInt(RANGE)
  @Min(MIN_SECONDS, RANGE)
  @Max(MAX_SECONDS, RANGE)
  readonly seconds!: number;
}
