import { ApiError, brokenTextAt, isTooDeep, type RequestClass, validated } from '@app/batches';
import {
  type ArgumentMetadata,
  type CanActivate,
  type ExecutionContext,
  Injectable,
  type PipeTransform,
} from '@nestjs/common';
import type { Request } from 'express';

/** What is no class of a request: taken as it is. */
const UNTYPED: readonly unknown[] = [String, Boolean, Number, Array, Object];

/** Validates every request of a class; fields nobody asked for are an error, as a misspelt one would otherwise be ignored. */
@Injectable()
export class RequestPipe implements PipeTransform {
  /** @throws ApiError (400) about the first bad field */
  transform(value: unknown, { metatype }: ArgumentMetadata): unknown {
    if (!metatype || UNTYPED.includes(metatype)) return value;
    return validated(metatype as RequestClass, value ?? {}, '');
  }
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
