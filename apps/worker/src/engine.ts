import { join } from 'node:path';
import type { Config } from '@app/config';
import { type EnginePort, startEngine } from '@app/inference';

/** Injection token of the engine (`EnginePort`). */
export const ENGINE = Symbol('ENGINE');

/** Starts the engine in its own thread; the first start of a model makes its graphs. */
export const openEngine = ({ modelPath, dataDir, precision, threads }: Config): Promise<EnginePort> =>
  startEngine({ modelPath, cacheDir: join(dataDir, 'graphs'), precision, threads });
