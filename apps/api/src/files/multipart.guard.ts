import { ApiError } from '@app/batches';
import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import type { Request } from 'express';

/** Refuses a request that is no multipart form, before anything of its body is looked at. */
@Injectable()
export class MultipartGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const type = context.switchToHttp().getRequest<Request>().headers['content-type'] ?? 'none';
    if (/^multipart\/form-data\s*(;|$)/i.test(type)) return true;
    throw ApiError.invalid(
      `Invalid content type (${type.slice(0, 100)}). Send multipart/form-data with the fields file and purpose.`,
      'file',
      'invalid_content_type',
    );
  }
}
