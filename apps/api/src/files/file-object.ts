import type { FilePage, FileRecord } from '@app/batches';

/** OpenAI's File object. */
export const toFileObject = ({ id, bytes, created_at, expires_at, filename, purpose }: FileRecord) => ({
  id,
  object: 'file',
  bytes,
  created_at,
  ...(expires_at !== undefined && { expires_at }),
  filename,
  purpose,
  status: 'processed',
});

/** OpenAI's list of files. */
export const toFileList = ({ files, hasMore }: FilePage) => ({
  object: 'list',
  data: files.map(toFileObject),
  first_id: files[0]?.id ?? null,
  last_id: files.at(-1)?.id ?? null,
  has_more: hasMore,
});
