// Where things are. LONGHAUL_DATA_DIR may be relative: to the directory the command was typed in.
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository. */
export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

/** Everything that Longhaul keeps on this machine: Redis, blobs, caches. */
export const dataDir = resolve(
  process.env.INIT_CWD ?? process.cwd(),
  process.env.LONGHAUL_DATA_DIR || join(root, '.longhaul'),
);

/** The committed model. */
export const defaultModel = join(root, 'models/smollm2-135m-instruct.q4_1.gguf');

/** The GGUF file to serve. */
export const modelFile = process.env.LONGHAUL_MODEL
  ? resolve(process.env.INIT_CWD ?? process.cwd(), process.env.LONGHAUL_MODEL)
  : defaultModel;
