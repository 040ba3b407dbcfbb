import 'reflect-metadata';
import { basename, join, resolve } from 'node:path';
import { plainToInstance } from 'class-transformer';
import { validateSync } from 'class-validator';
import { parseByteSize } from './byte-size.js';
import { type CompressionSetting, parseCompression } from './compression-setting.js';
import { ConfigError } from './config-error.js';
import { Environment, type KV_TYPES, type LOG_LEVELS, MIB, type PRECISIONS } from './environment.js';
import { modelIdOf } from './model-id.js';
import { withoutPassword } from './without-password.js';

/** Everything that can be set from outside, validated. Also the injection token under which the apps provide it. */
export abstract class Config {
  abstract readonly port: number;
  abstract readonly host: string;
  /** Where a worker serves its metrics, 0 for any free port; undefined: nowhere. */
  abstract readonly metricsPort: number | undefined;
  abstract readonly redisUrl: string;
  /** Absolute. Blobs, caches of converted weights, Redis' own data. */
  abstract readonly dataDir: string;
  /** Absolute. */
  abstract readonly modelPath: string;
  /** What clients call the model. */
  abstract readonly modelId: string;
  abstract readonly precision: (typeof PRECISIONS)[number];
  /** How keys and values of documents are held. */
  abstract readonly kvType: (typeof KV_TYPES)[number];
  /** Intra-op threads of the engine. */
  abstract readonly threads: number;
  /** For prefixes that are long enough and requests that ask for nothing else. */
  abstract readonly compression: CompressionSetting;
  /** Largest upload, any purpose. */
  abstract readonly maxFileBytes: number;
  /** Largest upload of purpose `batch`; never above `maxFileBytes`. */
  abstract readonly maxBatchFileBytes: number;
  /** Largest line of a batch file, and largest JSON body of a request. */
  abstract readonly maxLineBytes: number;
  abstract readonly maxBatchLines: number;
  /** What reading the text of one PDF, DOCX or HTML document may take. */
  abstract readonly documentSeconds: number;
  abstract readonly documentMemoryBytes: number;
  /** BullMQ's job lock, and the interval at which stalled jobs are looked for. */
  abstract readonly lockSeconds: number;
  /** Bytes that keys and values may take in a worker; undefined: half of what its machine or container has left. */
  abstract readonly kvMemoryBytes: number | undefined;
  /** Absolute. Where caches go that there is no room for in memory. */
  abstract readonly spillDir: string;
  /** Bytes that they may take there; 0: they go nowhere. */
  abstract readonly spillBytes: number;
  /** Most document groups that a worker answers at once; chats beside them as many again. */
  abstract readonly maxGroups: number;
  /** Runs of one document group before its remaining items are given up. */
  abstract readonly maxGroupAttempts: number;
  /** How long results and ended batches stay in Redis, and batch files where nothing else was asked. */
  abstract readonly retentionDays: number;
  abstract readonly chatTimeoutSeconds: number;
  /** Requests that one client may make in a minute; 0: as many as it likes. */
  abstract readonly requestsPerMinute: number;
  /** Where the ends of batches are told; undefined: nowhere. */
  abstract readonly webhook: WebhookSetting | undefined;
  /** How long a worker told to stop may go on with what it has begun. */
  abstract readonly drainSeconds: number;
  abstract readonly logLevel: (typeof LOG_LEVELS)[number];
  /** One JSON object a line instead of text. */
  abstract readonly logJson: boolean;
}

export interface WebhookSetting {
  readonly url: string;
  /** Of the Standard Webhooks: `whsec_` and base64. */
  readonly secret: string;
  /** Whether it may be at a private address. */
  readonly allowPrivate: boolean;
}

/** OpenAI's limits of a batch file. */
const MAX_BATCH_FILE_BYTES = 200 * MIB;
const MAX_BATCH_LINES = 50_000;

/**
 * Reads the environment; variables that are unset or empty take their defaults, relative paths start at the working
 * directory. Throws one `ConfigError` that lists every variable that cannot be used.
 */
export function loadConfig(env: NodeJS.ProcessEnv = process.env): Config {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const variables = plainToInstance(Environment, given, { excludeExtraneousValues: true, exposeDefaultValues: true });
  const errors = validateSync(variables, { stopAtFirstError: true });
  if (errors.length > 0) {
    throw new ConfigError(
      errors.map(({ property, constraints }) => ({
        variable: property,
        expected: Object.values(constraints ?? {})[0] ?? 'something else',
        found:
          property === 'LONGHAUL_WEBHOOK_SECRET'
            ? '***'
            : property === 'REDIS_URL'
              ? JSON.stringify(withoutPassword(variables.REDIS_URL))
              : JSON.stringify(given[property]),
      })),
    );
  }
  const modelPath = resolve(variables.LONGHAUL_MODEL);
  const dataDir = resolve(variables.LONGHAUL_DATA_DIR);
  return {
    port: variables.PORT,
    host: variables.LONGHAUL_HOST,
    metricsPort: variables.LONGHAUL_METRICS_PORT,
    redisUrl: variables.REDIS_URL,
    dataDir,
    modelPath,
    modelId: variables.LONGHAUL_MODEL_ID || modelIdOf(basename(modelPath)),
    precision: variables.LONGHAUL_PRECISION,
    kvType: variables.LONGHAUL_KV_TYPE,
    threads: variables.LONGHAUL_THREADS,
    compression: parseCompression(variables.LONGHAUL_COMPRESSION)!,
    maxFileBytes: variables.LONGHAUL_MAX_FILE_BYTES,
    maxBatchFileBytes: Math.min(MAX_BATCH_FILE_BYTES, variables.LONGHAUL_MAX_FILE_BYTES),
    maxLineBytes: variables.LONGHAUL_MAX_LINE_BYTES,
    maxBatchLines: MAX_BATCH_LINES,
    documentSeconds: variables.LONGHAUL_DOCUMENT_SECONDS,
    documentMemoryBytes: variables.LONGHAUL_DOCUMENT_MEMORY_MIB * MIB,
    lockSeconds: variables.LONGHAUL_LOCK_SECONDS,
    kvMemoryBytes: variables.LONGHAUL_KV_MEMORY === undefined ? undefined : parseByteSize(variables.LONGHAUL_KV_MEMORY),
    spillDir: variables.LONGHAUL_SPILL_DIR === '' ? join(dataDir, 'spill') : resolve(variables.LONGHAUL_SPILL_DIR),
    spillBytes: parseByteSize(variables.LONGHAUL_SPILL_BYTES)!,
    maxGroups: variables.LONGHAUL_MAX_GROUPS,
    maxGroupAttempts: variables.LONGHAUL_MAX_GROUP_ATTEMPTS,
    retentionDays: variables.LONGHAUL_RETENTION_DAYS,
    chatTimeoutSeconds: variables.LONGHAUL_CHAT_TIMEOUT_SECONDS,
    requestsPerMinute: variables.LONGHAUL_REQUESTS_PER_MINUTE,
    webhook: variables.LONGHAUL_WEBHOOK_URL
      ? {
          url: variables.LONGHAUL_WEBHOOK_URL,
          secret: variables.LONGHAUL_WEBHOOK_SECRET,
          allowPrivate: variables.LONGHAUL_WEBHOOK_PRIVATE,
        }
      : undefined,
    drainSeconds: variables.LONGHAUL_DRAIN_SECONDS,
    logLevel: variables.LONGHAUL_LOG_LEVEL,
    logJson: variables.LONGHAUL_LOG_JSON,
  };
}
