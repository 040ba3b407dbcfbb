import type { LonghaulClient, StoredFile } from './longhaul-client.js';

/** Files that were uploaded for one batch: without it they are of no use and go again. */
export class Uploads {
  private readonly ids: string[] = [];

  constructor(private readonly client: LonghaulClient) {}

  async add(name: string, content: Blob, purpose: 'batch' | 'user_data'): Promise<StoredFile> {
    const file = await this.client.upload(name, content, purpose);
    this.ids.push(file.id);
    return file;
  }

  /** Runs `make`; removes what it uploaded if it fails. */
  async keepIf<T>(make: (uploads: Uploads) => Promise<T>): Promise<T> {
    try {
      return await make(this);
    } catch (error) {
      // The error that is told is the one that came first.
      await Promise.allSettled(this.ids.map((id) => this.client.deleteFile(id)));
      throw error;
    }
  }
}
