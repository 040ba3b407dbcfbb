import { expect, it } from 'vitest';
import { withoutPassword } from './without-password.js';

const setUp = (await import('../../../deploy/local/redis-ping.mjs' as string)) as {
  withoutPassword: typeof withoutPassword;
};

it.each([
  ['redis://127.0.0.1:6379', 'redis://127.0.0.1:6379'],
  ['rediss://me:secret@[::1]:6380/2', 'rediss://[::1]:6380'],
  ['redis://:p@ssword@my_host', 'redis://my_host'],
  ['redis://host:6379/2?password=secret#secret', 'redis://host:6379'],
  ['redis://:secret/secret@host', '***'],
  ['secret@host:6379', '***'],
  ['secret:6379', '***'],
  ['/secret', '***'],
  ['', '***'],
])('shows %s as %s', (url, shown) => {
  expect(withoutPassword(url)).toBe(shown);
  expect(setUp.withoutPassword(url)).toBe(shown);
});
