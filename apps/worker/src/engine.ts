import { join } from 'node:path';
import type { Config } from '@app/config';
import { type EnginePort, startEngine } from '@app/inference';

/** Injection token of the engine (`EnginePort`). */
export const ENGINE = Symbol('ENGINE');

/** Starts the engine in its own thread; the first start of a model makes its graphs. */
export function openEngine(config: Config): Promise<EnginePort> {
  const { modelPath, dataDir, precision, kvType, threads, kvMemoryBytes, spillDir, spillBytes } = config;
  const spill = spillBytes > 0 ? { folder: spillDir, bytes: spillBytes } : undefined;
  return startEngine({
    modelPath,
    cacheDir: join(dataDir, 'graphs'),
    precision,
    kvType,
    threads,
    kvBytes: kvMemoryBytes,
    spill,
  });
}
