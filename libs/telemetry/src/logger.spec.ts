import { afterEach, describe, expect, it, vi } from 'vitest';
import { createLogger } from './logger.js';

afterEach(() => void vi.restoreAllMocks());

/** What one logger writes to both streams when it is called once at every level. */
function written(options: Parameters<typeof createLogger>[1]): string[] {
  const lines: string[] = [];
  const take = (chunk: unknown): boolean => lines.push(String(chunk)) > 0;
  vi.spyOn(process.stdout, 'write').mockImplementation(take);
  vi.spyOn(process.stderr, 'write').mockImplementation(take);
  const logger = createLogger('api', options);
  logger.fatal?.('a fatal');
  logger.error('an error');
  logger.warn('a warning');
  logger.log('a log');
  logger.log('how Nest starts', 'InstanceLoader');
  logger.debug?.('a debug');
  logger.verbose?.('a verbose');
  return lines;
}

describe('createLogger', () => {
  it('logs the level asked for and what is more urgent', () => {
    const lines = written({ logLevel: 'warn', logJson: false }).join('');
    expect(lines).toContain('a fatal');
    expect(lines).toContain('a warning');
    expect(lines).not.toContain('a log');
    expect(lines).not.toContain('a debug');
  });

  it("tells Nest's own start-up only at debug level", () => {
    expect(written({ logLevel: 'log', logJson: false }).join('')).not.toContain('how Nest starts');
    expect(written({ logLevel: 'debug', logJson: false }).join('')).toContain('how Nest starts');
  });

  it('writes one JSON object a line', () => {
    const lines = written({ logLevel: 'log', logJson: true });
    expect(lines.map((line) => JSON.parse(line).message)).toEqual(['a fatal', 'an error', 'a warning', 'a log']);
  });
});
