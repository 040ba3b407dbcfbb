import { BATCH_ENDPOINTS, type BatchEndpoint } from '@app/batches';
import { IsIn, IsNotEmpty, IsString } from 'class-validator';
import { BatchOptionsDto } from './batch-options.dto.js';

/** Body of `POST /v1/batches`. */
export class CreateBatchDto extends BatchOptionsDto {
  @IsString({ message: 'must be the id of an uploaded file' })
  @IsNotEmpty({ message: 'must be the id of an uploaded file' })
  readonly input_file_id!: string;

  /** The `url` of all its lines. */
  @IsIn(BATCH_ENDPOINTS, { message: `must be ${BATCH_ENDPOINTS.map((name) => `'${name}'`).join(' or ')}` })
  readonly endpoint!: BatchEndpoint;
}
