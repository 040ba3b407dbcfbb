import type { FilePurpose } from '@app/batches';
import { ApiProperty } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { IsEmpty, IsIn, IsObject, IsOptional, ValidateNested } from 'class-validator';
import { ExpiresAfterDto } from '../expires-after.dto.js';

/** Purposes a client may give; `batch_output` is ours. */
const UPLOAD_PURPOSES: readonly FilePurpose[] = ['batch', 'user_data'];

/** The fields of `POST /v1/files` beside the file. */
export class CreateFileDto {
  @IsIn(UPLOAD_PURPOSES, { message: `must be ${UPLOAD_PURPOSES.map((name) => `'${name}'`).join(' or ')}` })
  readonly purpose!: FilePurpose;

  /** In a form: `expires_after[anchor]` and `expires_after[seconds]`. */
  @IsOptional()
  @IsObject({ message: 'must be an object {"anchor": "created_at", "seconds": 3600}' })
  @ValidateNested()
  @Type(() => ExpiresAfterDto)
  readonly expires_after?: ExpiresAfterDto;

  /** Here only where it was sent as text. */
  @ApiProperty({ type: 'string', format: 'binary', required: true, description: 'The file itself.' })
  @IsEmpty({ message: 'must be sent as a file, with a filename' })
  readonly file?: never;
}
