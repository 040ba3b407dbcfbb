import { BATCH_ENDPOINT } from '@app/batches';
import { IsIn, IsNotEmpty, IsString } from 'class-validator';
import { BatchOptionsDto } from './batch-options.dto.js';

/** Body of `POST /v1/batches`. */
export class CreateBatchDto extends BatchOptionsDto {
  @IsString({ message: 'must be the id of an uploaded file' })
  @IsNotEmpty({ message: 'must be the id of an uploaded file' })
  readonly input_file_id!: string;

  @IsIn([BATCH_ENDPOINT], { message: `must be '${BATCH_ENDPOINT}'` })
  readonly endpoint!: string;
}
