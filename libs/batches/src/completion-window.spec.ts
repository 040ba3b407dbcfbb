import { describe, expect, it } from 'vitest';
import { completionSeconds } from './completion-window.js';

describe('completionSeconds', () => {
  it.each([
    ['24h', 86_400],
    ['1s', 1],
    ['15m', 900],
    ['30d', 2_592_000],
  ])('%s', (window, seconds) => expect(completionSeconds(window)).toBe(seconds));

  it.each(['', 'h', '0h', '-1h', '1.5h', '31d', '721h', '9999999999s', '24H', '24h ', 24, null, ['24h']])(
    'takes no %j',
    (window) => expect(completionSeconds(window)).toBeUndefined(),
  );
});
