import { ApiError } from '@app/batches';
import { HttpException } from '@nestjs/common';

/** What of a multipart form multer refuses, by its code (multer/lib/multer-error.js). */
const REFUSALS: Readonly<Record<string, (field: string) => ApiError>> = {
  LIMIT_FILE_COUNT: () => tooManyFiles(),
  LIMIT_UNEXPECTED_FILE: (field) => (field === 'file' ? tooManyFiles() : unknown(field)),
  LIMIT_FIELD_VALUE: (field) => ApiError.invalid(`Invalid '${field}': the value is too long.`, field, 'invalid_value'),
  LIMIT_FIELD_KEY: () => ApiError.invalid('The name of a form field is too long.', null, 'unknown_parameter'),
  LIMIT_FIELD_COUNT: () => ApiError.invalid('The form has too many fields.', null, 'unknown_parameter'),
  LIMIT_PART_COUNT: () => ApiError.invalid('The form has too many parts.', null, 'unknown_parameter'),
  LIMIT_FIELD_NESTING: (field) => unknown(field),
  LIMIT_FIELD_ARRAY_INDEX: (field) => unknown(field),
  INVALID_FIELD_NAME: (field) => unknown(field),
  MISSING_FIELD_NAME: () => ApiError.invalid('A part of the form has no name.', null, 'unknown_parameter'),
};

/** How busboy's messages about a broken form begin. */
const BROKEN = /^(?:Multipart: )?(Boundary not found|Malformed part header|Unexpected end of (?:form|file))/;

/** The error of an upload in our words; undefined where it is none. Nest passes multer's own on as the cause. */
export function uploadError(thrown: unknown): ApiError | undefined {
  if (!(thrown instanceof HttpException)) return undefined;
  const { code, field } = (thrown.cause ?? {}) as { code?: string; field?: string };
  if (code !== undefined && Object.hasOwn(REFUSALS, code)) return REFUSALS[code]!(field ?? '');
  const broken = BROKEN.exec(thrown.message.replace('Multipart: Multipart: ', 'Multipart: '))?.[1];
  return broken === undefined
    ? undefined
    : ApiError.invalid(
        `The multipart form is broken or did not arrive whole (${broken.toLowerCase()}). Nothing was stored.`,
        'file',
        'invalid_multipart',
      );
}

const tooManyFiles = (): ApiError =>
  ApiError.invalid("Invalid 'file': one request uploads one file.", 'file', 'invalid_value');

const unknown = (field: string): ApiError =>
  ApiError.invalid(`Unrecognized request argument supplied: ${field.slice(0, 100)}`, field, 'unknown_parameter');
