import { ConsoleLogger, type LoggerService, type LogLevel } from '@nestjs/common';

/** From the most to the least urgent. */
const LEVELS: readonly LogLevel[] = ['fatal', 'error', 'warn', 'log', 'debug', 'verbose'];

/** Nest's own account of how it starts: of use only to whoever looks for a fault in it. */
const STARTUP_CONTEXTS: ReadonlySet<unknown> = new Set([
  'InstanceLoader',
  'NestApplication',
  'NestFactory',
  'RouterExplorer',
  'RoutesResolver',
]);

class AppLogger extends ConsoleLogger {
  override log(message: unknown, ...rest: unknown[]): void {
    // Nest passes the context as the last argument.
    if (STARTUP_CONTEXTS.has(rest.at(-1))) super.debug(message, ...rest);
    else super.log(message, ...rest);
  }
}

/** The logger of an app: `logLevel` and everything more urgent, as text or as one JSON object a line. */
export function createLogger(app: string, options: { logLevel: LogLevel; logJson: boolean }): LoggerService {
  return new AppLogger({
    prefix: app,
    json: options.logJson,
    logLevels: LEVELS.slice(0, LEVELS.indexOf(options.logLevel) + 1),
  });
}
