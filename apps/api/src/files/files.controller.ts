import {
  Body,
  Controller,
  Delete,
  Get,
  Header,
  HttpCode,
  Param,
  Post,
  Query,
  Req,
  Res,
  StreamableFile,
  UploadedFile,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { FileInterceptor } from '@nestjs/platform-express';
import { ApiConsumes, ApiHeader } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { NoFieldsDto } from '../errors/no-fields.dto.js';
import type { UploadedBlob } from './blob-upload.js';
import { negotiateRange } from './byte-range.js';
import { CreateFileDto } from './create-file.dto.js';
import { toFileList, toFileObject } from './file-object.js';
import { FilesService } from './files.service.js';
import { ListFilesQuery } from './list-files.query.js';
import { MultipartGuard } from './multipart.guard.js';

@Controller('v1/files')
export class FilesController {
  constructor(private readonly files: FilesService) {}

  /** Uploads a batch file or a document: text, Markdown, HTML, PDF or DOCX. */
  @Post()
  @ApiConsumes('multipart/form-data')
  @HttpCode(200)
  @UseGuards(MultipartGuard)
  @UseInterceptors(FileInterceptor('file'))
  async create(@UploadedFile() upload: unknown, @Body() fields: CreateFileDto, @Query() _query: NoFieldsDto) {
    return toFileObject(await this.files.create(upload as UploadedBlob | undefined, fields));
  }

  /** The files, newest first. */
  @Get()
  async list(@Query() query: ListFilesQuery) {
    return toFileList(await this.files.list(query));
  }

  /** One file, without its content. */
  @Get(':id')
  async get(@Param('id') id: string, @Query() _query: NoFieldsDto) {
    return toFileObject(await this.files.get(id));
  }

  /** Deletes a file, unless a batch that has not ended uses it. */
  @Delete(':id')
  async delete(@Param('id') id: string, @Query() _query: NoFieldsDto) {
    await this.files.delete(id);
    return { id, object: 'file', deleted: true };
  }

  /** The bytes of a file, as a download: what a client uploaded must never run as a page of this origin. */
  @Get(':id/content')
  @ApiHeader({ name: 'Range', required: false, description: 'A part of it, such as bytes=0-99.' })
  @Header('x-content-type-options', 'nosniff')
  async content(
    @Param('id') id: string,
    @Query() _query: NoFieldsDto,
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
  ): Promise<StreamableFile> {
    const file = await this.files.get(id);
    const range = negotiateRange(request, response, file.bytes, `"${file.sha256}"`);
    const name = encodeURIComponent(file.filename).replaceAll("'", '%27');
    return new StreamableFile(await this.files.open(file, range), {
      type: 'application/octet-stream',
      length: range ? range.end - range.start + 1 : file.bytes,
      disposition: `attachment; filename*=UTF-8''${name}`,
    });
  }
}
