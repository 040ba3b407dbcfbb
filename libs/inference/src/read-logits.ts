import type { GgufModel } from '@app/gguf-model';
import { ModelFiles, type Precision } from './model-files.js';
import { readPrefix } from './prefix-reader.js';
import { Sessions } from './sessions.js';

export interface ReadLogitsOptions {
  readonly model: GgufModel;
  readonly cacheDir: string;
  readonly precision: Precision;
  readonly threads: number;
  readonly tokens: readonly number[];
}

/** Logits `[tokens, vocabulary]` after every token of a text, for measuring one precision against another. */
export async function readLogits({
  model,
  cacheDir,
  precision,
  threads,
  tokens,
}: ReadLogitsOptions): Promise<Float32Array> {
  const files = await ModelFiles.prepare(model, cacheDir, precision);
  const sessions = new Sessions(files, threads);
  const { shape } = files.description;
  const logits = new Float32Array(tokens.length * shape.vocabulary);
  let written = 0;
  try {
    const onLogits = (chunk: Float32Array) => {
      logits.set(chunk, written);
      written += chunk.length;
    };
    await readPrefix(await sessions.get('prefill'), {
      shape,
      tokens,
      attention: [],
      checkpoint: async () => {},
      onLogits,
    });
  } finally {
    await sessions.close();
  }
  return logits;
}
