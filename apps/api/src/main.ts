import 'reflect-metadata';
import type { Server } from 'node:http';
import { ApiKeys } from '@app/api-keys';
import { type Config, ConfigError, loadConfig } from '@app/config';
import { assertRedisReady, connectRedisForRequests } from '@app/results';
import { createLogger } from '@app/telemetry';
import { Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { Redis } from 'ioredis';
import { apiWith } from './app.module.js';
import { serveDocs } from './docs/open-api.js';
import { isLoopback } from './loopback.js';
import { nameRequest } from './request-id.js';
import { requireApiKey } from './requests/api-key.js';
import { assertUtf8 } from './requests/assert-utf8.js';
import { idempotency } from './requests/idempotency.js';
import { rateLimit } from './requests/rate-limit.js';

/** Long enough for the largest upload over a slow line. */
const UPLOAD_TIMEOUT_MS = 3600 * 1000;
/** For what a request does beside waiting for its answer. */
const IDEMPOTENCY_GRACE_SECONDS = 60;
/** EX_CONFIG of sysexits.h: starting again will not help before somebody corrects the configuration or frees the port. */
const EXIT_CONFIG = 78;
/** Longer than clients keep idle connections, so that they never send on one that we are closing. */
const KEEP_ALIVE_MS = 65 * 1000;

async function start(config: Config): Promise<void> {
  await assertRedisReady(config.redisUrl);
  const isPublic = !isLoopback(config.host);
  if (isPublic) await assertApiKey(config);
  const app = await NestFactory.create<NestExpressApplication>(apiWith(config), {
    logger: createLogger('api', config),
    bodyParser: false,
    abortOnError: false,
  });
  app.use(nameRequest);
  const redis = app.get(Redis);
  app.use('/v1', requireApiKey(app.get(ApiKeys), isPublic));
  if (config.requestsPerMinute > 0) app.use('/v1', rateLimit(redis, config.requestsPerMinute));
  const json = { limit: config.maxLineBytes, verify: assertUtf8 };
  app.useBodyParser('json', json);
  app.use('/v1', idempotency(redis, config.chatTimeoutSeconds + IDEMPOTENCY_GRACE_SECONDS));
  serveDocs(app);
  app.disable('x-powered-by');
  app.enableShutdownHooks([], { useProcessExit: true });
  const server = app.getHttpServer() as Server;
  server.requestTimeout = UPLOAD_TIMEOUT_MS;
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  await app.listen(config.port, config.host);
  new Logger('Api').log(`Serves ${config.modelId} at ${await app.getUrl()}`);
  process.send?.('ready');
}

/** Others would be let in and nobody could be told apart. */
class NoApiKeyError extends Error {
  override readonly name = 'NoApiKeyError';

  constructor(host: string) {
    super(
      `LONGHAUL_HOST is ${host}, which others can reach, and there is no API key yet. Start with LONGHAUL_HOST unset, ` +
        "make a key with 'longhaul keys create NAME', then start like this again.",
    );
  }
}

async function assertApiKey({ redisUrl, host }: Config): Promise<void> {
  const redis = connectRedisForRequests(redisUrl);
  try {
    await redis.connect();
    if ((await new ApiKeys(redis).count()) === 0) throw new NoApiKeyError(host);
  } finally {
    redis.disconnect();
  }
}

// Started by another process over a channel: without it there is nobody to stop us.
if (process.send) process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));

try {
  await start(loadConfig());
} catch (error) {
  process.stderr.write(`api: ${explain(error)}\n`);
  process.exit(
    error instanceof ConfigError || error instanceof NoApiKeyError || isListenError(error) ? EXIT_CONFIG : 1,
  );
}

function isListenError(error: unknown): error is NodeJS.ErrnoException {
  return (error as NodeJS.ErrnoException).syscall === 'listen';
}

/** What the operator can put right; a stack would only hide it. */
function explain(error: unknown): string {
  if (isListenError(error)) {
    return `Cannot listen (${error.code}): ${error.message}. Set PORT and LONGHAUL_HOST to a free address.`;
  }
  return error instanceof Error ? error.message : String(error);
}
