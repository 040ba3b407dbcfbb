import type { Server } from 'node:http';
import { Config } from '@app/config';
import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';

/** What is left of a request that was told to end: time to send its error. */
const LAST_WORDS_MS = 2000;
/** How often connections are looked for that clients keep open without a request. */
const IDLE_CHECK_MS = 100;

/** Bounds how long open requests hold up a shutdown. */
@Injectable()
export class Shutdown implements BeforeApplicationShutdown {
  private readonly controller = new AbortController();

  constructor(
    private readonly config: Config,
    private readonly host: HttpAdapterHost,
  ) {}

  /** Aborted when requests that still wait must give up. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Nest stops listening right after this and then waits for the open requests. */
  beforeApplicationShutdown(): void {
    const server = this.host.httpAdapter.getHttpServer() as Server;
    // A connection that was busy when the server stopped listening is kept alive after its answer, unless it is closed here.
    setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS).unref();
    setTimeout(() => {
      this.controller.abort();
      setTimeout(() => server.closeAllConnections(), LAST_WORDS_MS).unref();
    }, this.config.drainSeconds * 1000).unref();
  }
}
