import { availableParallelism } from 'node:os';
import { Expose, Transform } from 'class-transformer';
import { IsBoolean, IsIn, IsInt, IsOptional, IsUrl, Matches, Max, Min, ValidateBy, ValidateIf } from 'class-validator';
import { parseByteSize } from './byte-size.js';
import { parseCompression } from './compression-setting.js';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'log', 'debug', 'verbose'] as const;
export const PRECISIONS = ['q8', 'f32'] as const;
export const KV_TYPES = ['f32', 'f16'] as const;

export const MIB = 1024 * 1024;

/** An integer variable from `min` to `max`, both inclusive. */
function Integer(min: number, max: number): PropertyDecorator {
  const message = `an integer from ${min} to ${max}`;
  const decorators = [
    Expose(),
    Transform(({ value }) => (typeof value === 'string' ? Number(value) : value)),
    IsInt({ message }),
    Min(min, { message }),
    Max(max, { message }),
  ];
  return (target, key) => {
    for (const decorate of decorators) decorate(target, key as string);
  };
}

/** A number of bytes with a unit, `min` or more. */
function ByteSize(min: number): PropertyDecorator {
  const validate = (value: unknown): boolean => (parseByteSize(String(value)) ?? -1) >= min;
  const message = `bytes with a unit, like 512MB, 4GiB or ${min}`;
  return (target, key) => {
    Expose()(target, key);
    ValidateBy({ name: 'byteSize', validator: { validate } }, { message })(target, key as string);
  };
}

/** A variable that is one of a few words. */
function OneOf(words: readonly string[]): PropertyDecorator {
  return (target, key) => {
    Expose()(target, key);
    IsIn(words, { message: `one of ${words.join(', ')}` })(target, key as string);
  };
}

/** A variable that is true or false. */
function Flag(): PropertyDecorator {
  return (target, key) => {
    Expose()(target, key);
    Transform(({ value }) => ({ true: true, '1': true, false: false, '0': false })[String(value)] ?? value)(
      target,
      key,
    );
    IsBoolean({ message: 'true or false' })(target, key as string);
  };
}

const REDIS_ADDRESS =
  'an address like redis://127.0.0.1:6379 or rediss://user:password@host:6379, the password percent-encoded';

/** Whether every `%` of a text encodes something: clients of Redis decode user and password. */
function isDecodable(text: unknown): boolean {
  try {
    decodeURIComponent(String(text));
    return true;
  } catch {
    return false;
  }
}

/** The form in which Standard Webhooks give secrets: 24 to 64 bytes. */
const WEBHOOK_SECRET = /^whsec_(?:[A-Za-z0-9+/]{4}){8,21}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * The environment variables under their own names, with their defaults and what each must look like.
 * A decorator's message completes the sentence "expected ...".
 */
export class Environment {
  @Integer(0, 65_535)
  PORT = 8080;

  @Expose()
  @Matches(/^[\w.:-]+$/, { message: 'a host name or an address to listen on' })
  LONGHAUL_HOST = '127.0.0.1';

  @IsOptional()
  @Integer(0, 65_535)
  LONGHAUL_METRICS_PORT?: number;

  @Expose()
  @IsUrl(
    // Names of containers may hold underscores and have no top-level domain.
    { protocols: ['redis', 'rediss'], require_protocol: true, require_tld: false, allow_underscores: true },
    { message: REDIS_ADDRESS },
  )
  @ValidateBy({ name: 'decodable', validator: { validate: isDecodable } }, { message: REDIS_ADDRESS })
  REDIS_URL = 'redis://127.0.0.1:6379';

  @Expose()
  LONGHAUL_DATA_DIR = '.longhaul';

  @Expose()
  @Matches(/\.gguf$/i, { message: 'the path of a .gguf file' })
  LONGHAUL_MODEL = 'models/smollm2-135m-instruct.q4_1.gguf';

  @Expose()
  @Matches(/^[\w./:@+-]{0,128}$/, { message: 'at most 128 letters, digits and . / : @ + - _' })
  LONGHAUL_MODEL_ID = '';

  @OneOf(PRECISIONS)
  LONGHAUL_PRECISION: (typeof PRECISIONS)[number] = 'q8';

  @OneOf(KV_TYPES)
  LONGHAUL_KV_TYPE: (typeof KV_TYPES)[number] = 'f32';

  @Integer(1, 1024)
  LONGHAUL_THREADS = availableParallelism();

  @Expose()
  @ValidateBy(
    { name: 'compression', validator: { validate: (value) => parseCompression(String(value)) !== undefined } },
    { message: 'policy:budget with 0 < budget <= 1 (kvmerger:0.35), or full' },
  )
  LONGHAUL_COMPRESSION = 'calibrated-merge:0.35';

  @Integer(1, 1024 * 1024 * MIB)
  LONGHAUL_MAX_FILE_BYTES = 512 * MIB;

  @Integer(1024, 256 * MIB)
  LONGHAUL_MAX_LINE_BYTES = 4 * MIB;

  @Integer(1, 3600)
  LONGHAUL_DOCUMENT_SECONDS = 60;

  @Integer(128, 65_536)
  LONGHAUL_DOCUMENT_MEMORY_MIB = 768;

  @Integer(1, 3600)
  LONGHAUL_LOCK_SECONDS = 30;

  @IsOptional()
  @ByteSize(MIB)
  LONGHAUL_KV_MEMORY?: string;

  @Expose()
  LONGHAUL_SPILL_DIR = '';

  @ByteSize(0)
  LONGHAUL_SPILL_BYTES = '0';

  @Integer(1, 64)
  LONGHAUL_MAX_GROUPS = 4;

  @Integer(1, 1000)
  LONGHAUL_MAX_GROUP_ATTEMPTS = 10;

  @Integer(1, 3650)
  LONGHAUL_RETENTION_DAYS = 30;

  @Integer(1, 86_400)
  LONGHAUL_CHAT_TIMEOUT_SECONDS = 600;

  /** 0: as many as they like. */
  @Integer(0, 1_000_000)
  LONGHAUL_REQUESTS_PER_MINUTE = 0;

  @IsOptional()
  @Expose()
  @IsUrl(
    { protocols: ['http', 'https'], require_protocol: true, require_tld: false, disallow_auth: true },
    { message: 'an address like https://example.org/hooks' },
  )
  LONGHAUL_WEBHOOK_URL?: string;

  @ValidateIf((variables: Environment) => variables.LONGHAUL_WEBHOOK_URL !== undefined)
  @Expose()
  @Matches(WEBHOOK_SECRET, { message: 'whsec_ and 24 to 64 bytes in base64, since LONGHAUL_WEBHOOK_URL is set' })
  LONGHAUL_WEBHOOK_SECRET = '';

  @Flag()
  LONGHAUL_WEBHOOK_PRIVATE = false;

  @Integer(0, 3600)
  LONGHAUL_DRAIN_SECONDS = 25;

  @OneOf(LOG_LEVELS)
  LONGHAUL_LOG_LEVEL: (typeof LOG_LEVELS)[number] = 'log';

  @Flag()
  LONGHAUL_LOG_JSON = false;
}
