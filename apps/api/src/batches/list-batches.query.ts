import { Transform } from 'class-transformer';
import { IsInt, IsOptional, IsString, Max, Min } from 'class-validator';
import { asNumber } from '../query-number.js';

/** As OpenAI's. */
const MAX_LIMIT = 100;
const DEFAULT_LIMIT = 20;
const RANGE = { message: `must be a whole number from 1 to ${MAX_LIMIT}` };

/** Query of `GET /v1/batches`. */
export class ListBatchesQuery {
  @Transform(asNumber)
  @IsInt(RANGE)
  @Min(1, RANGE)
  @Max(MAX_LIMIT, RANGE)
  readonly limit: number = DEFAULT_LIMIT;

  @IsOptional()
  @IsString({ message: 'must be the id of a batch' })
  readonly after?: string;
}
