import type { FileRecord } from '@app/batches';
import {
  Body,
  Controller,
  Get,
  Header,
  HttpCode,
  Param,
  Post,
  StreamableFile,
  UploadedFile,
  UseInterceptors,
} from '@nestjs/common';
import { FileInterceptor } from '@nestjs/platform-express';
import type { UploadedBlob } from './blob-upload.js';
import { FilesService } from './files.service.js';

@Controller('v1/files')
export class FilesController {
  constructor(private readonly files: FilesService) {}

  @Post()
  @HttpCode(200)
  @UseInterceptors(FileInterceptor('file'))
  async create(@UploadedFile() upload: unknown, @Body() fields: Record<string, unknown> | undefined) {
    return toFileObject(await this.files.create(upload as UploadedBlob | undefined, fields));
  }

  @Get(':id')
  async get(@Param('id') id: string) {
    return toFileObject(await this.files.get(id));
  }

  /** Always a download: what a client uploaded must never run as a page of this origin. */
  @Get(':id/content')
  @Header('x-content-type-options', 'nosniff')
  async content(@Param('id') id: string): Promise<StreamableFile> {
    const { record, stream } = await this.files.content(id);
    const name = encodeURIComponent(record.filename).replaceAll("'", '%27');
    return new StreamableFile(stream, {
      type: 'application/octet-stream',
      length: record.bytes,
      disposition: `attachment; filename*=UTF-8''${name}`,
    });
  }
}

/** OpenAI's File object. */
const toFileObject = ({ id, bytes, created_at, filename, purpose }: FileRecord) => ({
  id,
  object: 'file',
  bytes,
  created_at,
  filename,
  purpose,
  status: 'processed',
});
