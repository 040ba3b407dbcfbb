import { IsIn } from 'class-validator';
import { ROW_FORMATS, type RowFormat } from './row-formats.js';

const FORMATS = Object.keys(ROW_FORMATS);

/** Query of `GET /v1/jobs/{id}/results`. */
export class JobResultsQuery {
  @IsIn(FORMATS, { message: `must be one of ${FORMATS.join(', ')}` })
  readonly format: RowFormat = 'jsonl';
}
