import { Allow, IsObject, IsOptional, IsString } from 'class-validator';
import { BatchOptionsDto } from '../batches/batch-options.dto.js';

/** Body of `POST /v1/jobs`: documents and questions, and what a batch may be given. */
export class CreateJobDto extends BatchOptionsDto {
  static override readonly verbatim = [...BatchOptionsDto.verbatim, 'documents', 'questions', 'pairs', 'options'];

  /** Ids of files, or objects; `parseDocuments` says which. */
  @Allow()
  readonly documents?: unknown;

  /** Texts, or objects; `parseQuestions` says which. */
  @Allow()
  readonly questions?: unknown;

  /** `[document, question]`, positions in the two lists; absent: every question of every document. */
  @Allow()
  readonly pairs?: unknown;

  /** Absent: the one that is served. */
  @IsOptional()
  @IsString({ message: 'must be the id of a model' })
  readonly model?: string | null;

  /** What the model is told before each document. */
  @IsOptional()
  @IsString({ message: 'must be a text' })
  readonly system?: string | null;

  /** Further fields of a chat completion: `temperature`, `max_completion_tokens`, `response_format` ... */
  @IsOptional()
  @IsObject({ message: 'must be an object of fields of a chat completion' })
  readonly options?: Record<string, unknown> | null;

  override readonly completion_window: string = '24h';
}
