import { expect, it } from 'vitest';
import { isLoopback } from './loopback.js';

it('tells addresses that only this machine reaches', () => {
  for (const host of [
    '127.0.0.1',
    '127.1.2.3',
    '::1',
    '0:0:0:0:0:0:0:1',
    '::ffff:127.0.0.1',
    'localhost',
    'LOCALHOST',
  ]) {
    expect([host, isLoopback(host)]).toEqual([host, true]);
  }
  for (const host of [
    '0.0.0.0',
    '::',
    '10.0.0.1',
    '128.0.0.1',
    '::ffff:10.0.0.1',
    '::2',
    'example.org',
    'localhost.org',
  ]) {
    expect([host, isLoopback(host)]).toEqual([host, false]);
  }
});
