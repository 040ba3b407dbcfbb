import { policyNames, UnknownPolicyError } from '@app/kv-policy';
import { IsIn, IsOptional, ValidateBy } from 'class-validator';
import { QUESTIONS, type Questions, READINGS, type Reading } from './compression.js';

/** A number in (0, 1]. */
const IsShare = (): PropertyDecorator =>
  ValidateBy({
    name: 'isShare',
    validator: {
      validate: (value: unknown) => typeof value === 'number' && value > 0 && value <= 1,
      defaultMessage: () => '$property must be a number greater than 0 and at most 1',
    },
  });

/** `compression` of a request, or of a whole batch. */
export class CompressionDto {
  @IsOptional()
  @IsIn(policyNames, { message: ({ value }) => new UnknownPolicyError(String(value), policyNames).message })
  policy?: string;

  @IsOptional()
  @IsShare()
  budget?: number;

  @IsOptional()
  @IsIn(QUESTIONS, { message: `questions must be one of ${QUESTIONS.join(', ')}` })
  questions?: Questions;

  @IsOptional()
  @IsIn(READINGS, { message: `reading must be one of ${READINGS.join(', ')}` })
  reading?: Reading;
}
