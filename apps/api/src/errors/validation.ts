import { ApiError, assertOwnNames, brokenTextAt, inOrderOf, isTooDeep } from '@app/batches';
import {
  type ArgumentMetadata,
  type CanActivate,
  type ExecutionContext,
  Injectable,
  ValidationPipe,
} from '@nestjs/common';
import type { ValidationError } from 'class-validator';
import type { Request } from 'express';

/** Validates every DTO; fields nobody asked for are an error, as a misspelt one would otherwise be ignored. */
export class RequestPipe extends ValidationPipe {
  constructor() {
    super({
      transform: true,
      whitelist: true,
      forbidNonWhitelisted: true,
      exceptionFactory: (errors) => new InvalidFields(errors),
    });
  }

  /** Throws an `ApiError` about the first bad field, in the request's own order. */
  override async transform(value: unknown, metadata: ArgumentMetadata): Promise<unknown> {
    if (typeof value === 'object' && value !== null) assertOwnNames(value);
    try {
      return await super.transform(value, metadata);
    } catch (error) {
      if (error instanceof InvalidFields) throw describe(inOrderOf(error.errors, value)[0], '');
      throw error;
    }
  }
}

class InvalidFields extends Error {
  override readonly name = 'InvalidFields';
  constructor(readonly errors: readonly ValidationError[]) {
    super('fields that are not valid');
  }
}

/** OpenAI's way to say what is wrong with a field. */
function describe(error: ValidationError | undefined, parent: string): ApiError {
  if (!error) return ApiError.invalid('The request is not valid.');
  const param = parent ? `${parent}.${error.property}` : error.property;
  const [constraint] = Object.entries(error.constraints ?? {});
  if (!constraint) return describe(error.children?.[0], param);
  if (constraint[0] === 'whitelistValidation') {
    return ApiError.invalid(`Unrecognized request argument supplied: ${param}`, param, 'unknown_parameter');
  }
  return error.value === undefined
    ? ApiError.missing(param)
    : ApiError.invalid(`Invalid '${param}': ${constraint[1]}.`, param, 'invalid_value');
}

/** Refuses a request whose body is no JSON object, nested without end or no Unicode text, before its fields are looked at (guards run before pipes). */
@Injectable()
export class JsonBodyGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { body } = context.switchToHttp().getRequest<Request>() as { body: unknown };
    // Express leaves the body undefined where the content type is not JSON or where there is none.
    if (body === undefined) {
      throw ApiError.invalid('The request needs a JSON body, sent with the header content-type: application/json.');
    }
    assertObject(body);
    if (isTooDeep(body)) throw ApiError.tooDeep();
    assertOwnNames(body);
    const broken = brokenTextAt(body);
    if (broken !== undefined) throw ApiError.brokenText(broken);
    return true;
  }
}

/** Refuses a body where a request takes none; an empty JSON object says as little as none. */
@Injectable()
export class NoBodyGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { body, headers } = context.switchToHttp().getRequest<Request>() as Request & { body: unknown };
    if (body !== undefined) {
      assertObject(body);
      return true;
    }
    const isEmpty = headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0;
    if (!isEmpty) throw ApiError.invalid('The request takes no body. Leave it out.', null, 'invalid_content_type');
    return true;
  }
}

function assertObject(body: unknown): asserts body is object {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return;
  throw ApiError.invalid('The body must be a JSON object.');
}
