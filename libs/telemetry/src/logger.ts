import { ConsoleLogger, type LoggerService, type LogLevel } from '@nestjs/common';

/** From the most to the least urgent. */
const LEVELS: readonly LogLevel[] = ['fatal', 'error', 'warn', 'log', 'debug', 'verbose'];

/** The logger of an app: `logLevel` and everything more urgent, as text or as one JSON object a line. */
export function createLogger(app: string, options: { logLevel: LogLevel; logJson: boolean }): LoggerService {
  return new ConsoleLogger({
    prefix: app,
    json: options.logJson,
    logLevels: LEVELS.slice(0, LEVELS.indexOf(options.logLevel) + 1),
  });
}
