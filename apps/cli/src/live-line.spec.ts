import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { LiveLine } from './live-line.js';

function stream(properties: { isTTY: boolean; columns?: number }) {
  const out = Object.assign(new PassThrough(), properties);
  return { out: out as unknown as NodeJS.WriteStream, text: () => String(out.read() ?? '') };
}

it('draws over one line on a terminal, and never wraps it', () => {
  const { out, text } = stream({ isTTY: true, columns: 40 });
  const line = new LiveLine(out);
  line.show(0.5, '20/40 items');
  line.show(1, '40/40 items');
  line.end();
  expect(text()).toBe(
    `\r${'█'.repeat(12)}${'░'.repeat(12)}  50 %  20/40 i\u001b[K\r${'█'.repeat(24)} 100 %  40/40 i\u001b[K\n`,
  );
});

it('says elsewhere only what is new, without control characters', () => {
  const { out, text } = stream({ isTTY: false });
  const line = new LiveLine(out);
  for (const share of [0, 0.05, 0.31, 0.39, 1]) line.show(share, `at ${share}`);
  line.end();
  expect(text()).toBe('  0 %  at 0\n 31 %  at 0.31\n100 %  at 1\n');
});
