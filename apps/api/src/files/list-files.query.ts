import { FILE_PURPOSES, type FilePurpose } from '@app/batches';
import { Transform } from 'class-transformer';
import { IsIn, IsInt, IsOptional, IsString, Max, Min } from 'class-validator';
import { asNumber } from '../query-number.js';

/** As OpenAI's. */
const MAX_LIMIT = 10_000;
const RANGE = { message: `must be a whole number from 1 to ${MAX_LIMIT}` };

/** Query of `GET /v1/files`. */
export class ListFilesQuery {
  @Transform(asNumber)
  @IsInt(RANGE)
  @Min(1, RANGE)
  @Max(MAX_LIMIT, RANGE)
  readonly limit: number = MAX_LIMIT;

  @IsIn(['asc', 'desc'], { message: "must be 'asc' or 'desc'" })
  readonly order: 'asc' | 'desc' = 'desc';

  @IsOptional()
  @IsString({ message: 'must be the id of a file' })
  readonly after?: string;

  @IsOptional()
  @IsIn(FILE_PURPOSES, { message: `must be one of ${FILE_PURPOSES.join(', ')}` })
  readonly purpose?: FilePurpose;
}
