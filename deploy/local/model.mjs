// The model file: there, whole, and the one that was committed.
import { createHash } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { SetupError } from './setup-error.mjs';
import { step } from './terminal.mjs';

const committed = { bytes: 98_362_432, sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53' };

/** Checks the committed model by size and SHA-256, once per size and time of change; of any other model only that it is there. */
export async function checkModel(file, isDefault, dataDir) {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (!isDefault) {
    if (!stat?.isFile()) throw new SetupError(`LONGHAUL_MODEL: expected a GGUF file, found none at ${file}.`);
    return step('model', `${basename(file)} (LONGHAUL_MODEL)`);
  }
  const repair = `Fetch it again: git checkout -- models/${basename(file)}`;
  if (!stat?.isFile()) throw new SetupError(`The model is missing: ${file}\n${repair}`);
  if (startsAs(file, 'version https://git-lfs')) {
    throw new SetupError(`The model is only a git-lfs pointer: ${file}\nFetch the file itself: git lfs pull`);
  }
  if (stat.size !== committed.bytes) {
    throw new SetupError(
      `The model is not whole: expected ${committed.bytes} bytes, found ${stat.size} in ${file}\n${repair}`,
    );
  }
  const stamp = join(dataDir, 'model-check.json');
  const checked = JSON.stringify({ file, size: stat.size, mtimeMs: stat.mtimeMs, sha256: committed.sha256 });
  if (read(stamp) === checked) return step('model', `${basename(file)}, checked before`);
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk);
  const sha256 = hash.digest('hex');
  if (sha256 !== committed.sha256) {
    throw new SetupError(
      `The model is damaged: expected sha256 ${committed.sha256}, found ${sha256}\nin ${file}\n${repair}`,
    );
  }
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, checked);
  step('model', `${basename(file)}, sha256 as expected`);
}

function startsAs(file, text) {
  const head = Buffer.alloc(text.length);
  const descriptor = openSync(file, 'r');
  try {
    readSync(descriptor, head);
  } finally {
    closeSync(descriptor);
  }
  return head.toString('latin1') === text;
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
