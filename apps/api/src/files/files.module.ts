import { BatchStore, FileRemover, FileStore } from '@app/batches';
import { Config } from '@app/config';
import { BlobStore } from '@app/storage';
import { Module } from '@nestjs/common';
import { MulterModule } from '@nestjs/platform-express';
import { BlobUpload } from './blob-upload.js';
import { FileExpiry } from './file-expiry.js';
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
  providers: [
    FilesService,
    FileExpiry,
    {
      provide: FileRemover,
      inject: [FileStore, BatchStore, BlobStore],
      useFactory: (files: FileStore, batches: BatchStore, blobs: BlobStore) => new FileRemover(files, batches, blobs),
    },
  ],
  exports: [FilesService],
})
export class FilesModule {}
