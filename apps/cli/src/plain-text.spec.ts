import { expect, it } from 'vitest';
import { shortTime, table } from './plain-text.js';

it('lays tables out by their widest cells, and cuts lines that a terminal would wrap', () => {
  const rows = [
    ['file-1', '1,300', 'lease.pdf'],
    ['file-20', '20', 'annex.pdf'],
  ];
  const titles = ['file', 'bytes', 'name'];
  expect(table(titles, rows, ['bytes'])).toBe(
    'file     bytes  name\nfile-1   1,300  lease.pdf\nfile-20     20  annex.pdf',
  );
  expect(table(titles, rows, ['bytes'], 20)).toBe('file     bytes  name\nfile-1   1,300  lea…\nfile-20     20  ann…');
});

it('tells the time of what is recent, the day of this year, the date of others', () => {
  const now = new Date(2026, 10, 22, 3, 0);
  const told = (...date: [number, number, number, number, number]) => shortTime(+new Date(...date) / 1000, now);
  expect([told(2026, 10, 21, 16, 5), told(2026, 10, 21, 9, 5), told(2025, 10, 22, 9, 5)]).toEqual([
    '16:05',
    'Nov 21',
    '2025-11-22',
  ]);
});
