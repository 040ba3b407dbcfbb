import { completionSeconds } from '@app/batches';
import { Type } from 'class-transformer';
import { Allow, IsObject, IsOptional, ValidateBy, ValidateNested } from 'class-validator';
import { ExpiresAfterDto } from '../expires-after.dto.js';

/** OpenAI's limits of `metadata`. */
const MAX_PAIRS = 16;
const MAX_KEY_LENGTH = 64;
const MAX_VALUE_LENGTH = 512;

/** What a batch may be given, whatever it is made of. */
export class BatchOptionsDto {
  static readonly verbatim: readonly string[] = ['metadata', 'compression'];

  /** OpenAI knows '24h' only. */
  @ValidateBy(
    { name: 'isCompletionWindow', validator: { validate: (value) => completionSeconds(value) !== undefined } },
    { message: "must be '24h', or another time of at most 30 days such as '90s', '15m' or '7d'" },
  )
  readonly completion_window!: string;

  @IsOptional()
  @ValidateBy(
    { name: 'isMetadata', validator: { validate: isMetadata } },
    {
      message:
        `must be an object of at most ${MAX_PAIRS} strings, keys of at most ${MAX_KEY_LENGTH} and values of at most ` +
        `${MAX_VALUE_LENGTH} characters`,
    },
  )
  readonly metadata?: Record<string, string> | null;

  @IsOptional()
  @IsObject({ message: 'must be an object {"anchor": "created_at", "seconds": 3600}' })
  @ValidateNested()
  @Type(() => ExpiresAfterDto)
  readonly output_expires_after?: ExpiresAfterDto | null;

  /** Policy and budget for all lines; validated together with a line's own. */
  @Allow()
  readonly compression?: unknown;
}

function isMetadata(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const pairs = Object.entries(value);
  return (
    pairs.length <= MAX_PAIRS &&
    pairs.every(
      ([key, text]) => key.length <= MAX_KEY_LENGTH && typeof text === 'string' && text.length <= MAX_VALUE_LENGTH,
    )
  );
}
