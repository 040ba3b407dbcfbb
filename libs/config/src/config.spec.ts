import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from './config.js';
import { ConfigError } from './config-error.js';

const errorOf = (env: NodeJS.ProcessEnv): ConfigError => {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('loadConfig accepted it');
};

describe('loadConfig', () => {
  it('has a default for everything', () => {
    expect(loadConfig({})).toEqual({
      port: 8080,
      host: '127.0.0.1',
      redisUrl: 'redis://127.0.0.1:6379',
      dataDir: resolve('.longhaul'),
      modelPath: resolve('models/smollm2-135m-instruct.q4_1.gguf'),
      modelId: 'smollm2-135m-instruct',
      precision: 'q8',
      kvType: 'f32',
      threads: availableParallelism(),
      compression: { policy: 'calibrated-merge', budget: 0.35 },
      maxFileBytes: 536_870_912,
      maxBatchFileBytes: 209_715_200,
      maxLineBytes: 4_194_304,
      maxBatchLines: 50_000,
      documentSeconds: 60,
      documentMemoryBytes: 805_306_368,
      lockSeconds: 30,
      spillDir: resolve('.longhaul/spill'),
      spillBytes: 0,
      maxGroups: 4,
      maxGroupAttempts: 10,
      retentionDays: 30,
      chatTimeoutSeconds: 600,
      requestsPerMinute: 0,
      webhook: undefined,
      drainSeconds: 25,
      logLevel: 'log',
      logJson: false,
    });
  });

  it('reads every variable', () => {
    const config = loadConfig({
      PORT: '0',
      LONGHAUL_HOST: '::1',
      REDIS_URL: 'rediss://user:secret@redis.internal:6380/2',
      LONGHAUL_DATA_DIR: '/var/lib/longhaul',
      LONGHAUL_MODEL: '/models/Llama-3.2-1B-Instruct-Q8_0.gguf',
      LONGHAUL_MODEL_ID: 'llama',
      LONGHAUL_PRECISION: 'f32',
      LONGHAUL_KV_TYPE: 'f16',
      LONGHAUL_THREADS: '3',
      LONGHAUL_COMPRESSION: 'full',
      LONGHAUL_MAX_FILE_BYTES: '1000',
      LONGHAUL_MAX_LINE_BYTES: '2048',
      LONGHAUL_DOCUMENT_SECONDS: '6',
      LONGHAUL_DOCUMENT_MEMORY_MIB: '256',
      LONGHAUL_LOCK_SECONDS: '5',
      LONGHAUL_KV_MEMORY: '4GiB',
      LONGHAUL_SPILL_DIR: '/var/spill',
      LONGHAUL_SPILL_BYTES: '1.5 GB',
      LONGHAUL_MAX_GROUPS: '6',
      LONGHAUL_MAX_GROUP_ATTEMPTS: '4',
      LONGHAUL_RETENTION_DAYS: '1',
      LONGHAUL_CHAT_TIMEOUT_SECONDS: '7',
      LONGHAUL_REQUESTS_PER_MINUTE: '90',
      LONGHAUL_WEBHOOK_URL: 'https://example.org/hooks',
      LONGHAUL_WEBHOOK_SECRET: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
      LONGHAUL_WEBHOOK_PRIVATE: '1',
      LONGHAUL_DRAIN_SECONDS: '0',
      LONGHAUL_LOG_LEVEL: 'debug',
      LONGHAUL_LOG_JSON: 'true',
    });
    expect(config).toMatchObject({
      port: 0,
      host: '::1',
      redisUrl: 'rediss://user:secret@redis.internal:6380/2',
      dataDir: '/var/lib/longhaul',
      modelPath: '/models/Llama-3.2-1B-Instruct-Q8_0.gguf',
      modelId: 'llama',
      precision: 'f32',
      kvType: 'f16',
      threads: 3,
      compression: { policy: 'full', budget: 1 },
      maxFileBytes: 1000,
      maxBatchFileBytes: 1000,
      maxLineBytes: 2048,
      documentSeconds: 6,
      documentMemoryBytes: 268_435_456,
      lockSeconds: 5,
      kvMemoryBytes: 4_294_967_296,
      spillDir: '/var/spill',
      spillBytes: 1_500_000_000,
      maxGroups: 6,
      maxGroupAttempts: 4,
      retentionDays: 1,
      chatTimeoutSeconds: 7,
      requestsPerMinute: 90,
      webhook: {
        url: 'https://example.org/hooks',
        secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
        allowPrivate: true,
      },
      drainSeconds: 0,
      logLevel: 'debug',
      logJson: true,
    });
  });

  it('takes an empty variable as unset', () => {
    expect(loadConfig({ PORT: '', REDIS_URL: '' })).toMatchObject({ port: 8080, redisUrl: 'redis://127.0.0.1:6379' });
  });

  it('lists every bad variable at once, with what was expected and what was found', () => {
    const bad = {
      PORT: '70000',
      LONGHAUL_HOST: 'a b',
      REDIS_URL: 'http://user:secret@localhost',
      LONGHAUL_MODEL: 'model.safetensors',
      LONGHAUL_MODEL_ID: 'two words',
      LONGHAUL_PRECISION: 'fp8',
      LONGHAUL_THREADS: '0',
      LONGHAUL_COMPRESSION: 'kvmerger',
      LONGHAUL_MAX_FILE_BYTES: '512MB',
      LONGHAUL_MAX_LINE_BYTES: '-1',
      LONGHAUL_DOCUMENT_SECONDS: '0',
      LONGHAUL_DOCUMENT_MEMORY_MIB: '64',
      LONGHAUL_LOCK_SECONDS: '1.5',
      LONGHAUL_KV_MEMORY: '4 gigs',
      LONGHAUL_SPILL_BYTES: '-1',
      LONGHAUL_MAX_GROUPS: '0',
      LONGHAUL_MAX_GROUP_ATTEMPTS: 'many',
      LONGHAUL_RETENTION_DAYS: 'NaN',
      LONGHAUL_CHAT_TIMEOUT_SECONDS: '0',
      LONGHAUL_DRAIN_SECONDS: 'Infinity',
      LONGHAUL_LOG_LEVEL: 'loud',
      LONGHAUL_LOG_JSON: 'yes',
    };
    const error = errorOf(bad);
    expect(error.variables.map(({ variable }) => variable).sort()).toEqual(Object.keys(bad).sort());
    expect(error.message).toContain('22 environment variables cannot be used');
    expect(error.message).toContain('PORT: expected an integer from 0 to 65535, found "70000"');
    expect(error.message).toContain('LONGHAUL_PRECISION: expected one of q8, f32, found "fp8"');
    expect(error.message).toContain('LONGHAUL_KV_MEMORY: expected bytes with a unit, like 512MB, 4GiB or 1048576');
    expect(error.message).toContain('LONGHAUL_LOG_JSON: expected true or false, found "yes"');
    expect(error.message).not.toContain('secret');
  });

  it.each([
    'redis://my_redis:6379',
    'redis://redis',
    'redis://[::1]:6379/3',
    'redis://:p%40ss@10.0.0.1:6379',
    'rediss://user:secret@cache.example.com:6380',
  ])('takes the Redis address %s', (url) => {
    expect(loadConfig({ REDIS_URL: url }).redisUrl).toBe(url);
  });

  it('refuses a Redis password with a % that encodes nothing, without showing it', () => {
    const { message } = errorOf({ REDIS_URL: 'redis://user:p%ZZsecret@127.0.0.1:6379' });
    expect(message).toContain('REDIS_URL: expected an address like');
    expect(message).toContain('percent-encoded, found "redis://127.0.0.1:6379"');
    expect(message).not.toContain('secret');
  });

  it.each(['kvmerger:0', 'kvmerger:2', 'kvmerger:NaN', 'kvmerger:-0.5', ':0.5', 'kvmerger:', 'KV:0.5', 'full:'])(
    'refuses the compression %s',
    (text) => {
      expect(errorOf({ LONGHAUL_COMPRESSION: text }).variables).toEqual([
        {
          variable: 'LONGHAUL_COMPRESSION',
          expected: 'policy:budget with 0 < budget <= 1 (kvmerger:0.35), or full',
          found: JSON.stringify(text),
        },
      ]);
    },
  );

  it.each([
    ['512MB', 512_000_000],
    ['512 MiB', 536_870_912],
    ['0.5gib', 536_870_912],
    ['1048576', 1_048_576],
  ])('reads %s as so many bytes', (text, bytes) => {
    expect(loadConfig({ LONGHAUL_KV_MEMORY: text }).kvMemoryBytes).toBe(bytes);
  });

  it.each(['1', '100KB', '1e9', '4G', 'GiB', '1.5.5MB', '99999999TiB'])(
    'refuses %s as memory for keys and values',
    (text) => {
      expect(errorOf({ LONGHAUL_KV_MEMORY: text }).variables.map(({ variable }) => variable)).toEqual([
        'LONGHAUL_KV_MEMORY',
      ]);
    },
  );

  it.each([
    ['kvmerger:.5', 'kvmerger', 0.5],
    ['calibrated-merge:0.1', 'calibrated-merge', 0.1],
    ['h2o:1', 'h2o', 1],
  ])('reads the compression %s', (text, policy, budget) => {
    expect(loadConfig({ LONGHAUL_COMPRESSION: text }).compression).toEqual({ policy, budget });
  });

  it.each([
    ['smollm2-135m-instruct.q4_1.gguf', 'smollm2-135m-instruct'],
    ['Llama-3.2-1B-Instruct-Q8_0.gguf', 'Llama-3.2-1B-Instruct'],
    ['Llama-3.2-1B-Instruct-Q4_K_M.gguf', 'Llama-3.2-1B-Instruct'],
    ['model-UD-IQ2_XXS.gguf', 'model'],
    ['tiny.f16.gguf', 'tiny'],
    ['tiny-BF16.GGUF', 'tiny'],
    ['qwen-q.gguf', 'qwen-q'],
  ])('calls %s %s', (file, id) => {
    expect(loadConfig({ LONGHAUL_MODEL: `models/${file}` }).modelId).toBe(id);
  });

  it('wants a secret for webhooks, and tells nobody what was given', () => {
    const url = { LONGHAUL_WEBHOOK_URL: 'https://example.org' };
    expect(errorOf(url).message).toContain('LONGHAUL_WEBHOOK_SECRET');
    const { message } = errorOf({ ...url, LONGHAUL_WEBHOOK_SECRET: 'whsec_hunter2' });
    expect(message).toContain('LONGHAUL_WEBHOOK_SECRET');
    expect(message).not.toContain('hunter2');
    expect(errorOf({ LONGHAUL_WEBHOOK_URL: 'ftp://example.org' }).message).toContain('LONGHAUL_WEBHOOK_URL');
  });
});
