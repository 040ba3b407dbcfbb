import { Config } from '@app/config';
import { BlobStore } from '@app/storage';
import { Module } from '@nestjs/common';
import { MulterModule } from '@nestjs/platform-express';
import { BlobUpload } from './blob-upload.js';
import { FilesController } from './files.controller.js';
import { FilesService } from './files.service.js';

@Module({
  imports: [
    MulterModule.registerAsync({
      inject: [BlobStore, Config],
      useFactory: (blobs: BlobStore, config: Config) => ({
        storage: new BlobUpload(blobs, config.maxFileBytes),
        limits: { files: 1, fields: 16, fieldSize: 1024 },
        defParamCharset: 'utf8',
      }),
    }),
  ],
  controllers: [FilesController],
  providers: [FilesService],
})
export class FilesModule {}
