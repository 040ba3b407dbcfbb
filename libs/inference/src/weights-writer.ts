import { type FileHandle, open } from 'node:fs/promises';
import type { ElementType, ExternalTensor } from '@app/onnx-graph';

/** Page size, so that the runtime can map a tensor instead of copying it. */
const ALIGNMENT = 4096;

/** Appends tensors to the one file that holds a model's weights. */
export class WeightsWriter {
  private offset = 0;

  private constructor(
    private readonly handle: FileHandle,
    private readonly fileName: string,
  ) {}

  /** @param fileName the name graphs will refer to, which `path` is renamed to later */
  static async create(path: string, fileName: string): Promise<WeightsWriter> {
    return new WeightsWriter(await open(path, 'w'), fileName);
  }

  async append(
    name: string,
    type: ElementType,
    dims: readonly number[],
    data: Float32Array | Uint8Array | Int8Array,
  ): Promise<ExternalTensor> {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const offset = this.offset;
    for (let written = 0; written < bytes.length; ) {
      const { bytesWritten } = await this.handle.write(bytes, written, bytes.length - written, offset + written);
      written += bytesWritten;
    }
    this.offset = Math.ceil((offset + bytes.length) / ALIGNMENT) * ALIGNMENT;
    return { name, type, dims, file: this.fileName, offset, length: bytes.length };
  }

  /** Closes an unfinished file, which is of no use then. */
  async abandon(): Promise<void> {
    await this.handle.close().catch(() => undefined);
  }

  /** Makes everything durable. Returns the file's size in bytes. */
  async finish(): Promise<number> {
    await this.handle.truncate(this.offset);
    await this.handle.sync();
    await this.handle.close();
    return this.offset;
  }
}
