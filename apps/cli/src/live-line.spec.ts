import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { LiveLine } from './live-line.js';

function stream(properties: { isTTY: boolean; columns?: number }) {
  const out = Object.assign(new PassThrough(), properties);
  return { out: out as unknown as NodeJS.WriteStream, text: () => String(out.read() ?? '') };
}

it('draws over one line on a terminal, says no more than fits, and never wraps', () => {
  const { out, text } = stream({ isTTY: true, columns: 40 });
  const line = new LiveLine(out);
  line.show(0.5, ['20/40 items  0.50 items/s', '20/40 items']);
  line.show(1, ['40/40 items and that is longer', '40/40 items and so is this', '40/40 items, cut where it must be']);
  line.end();
  expect(text()).toBe(
    `\r${'█'.repeat(4)}${'░'.repeat(4)}  50 %  20/40 items\u001b[K\r${'█'.repeat(8)} 100 %  40/40 items, cut where \u001b[K\n`,
  );
});

it('has a longer bar on a wider terminal', () => {
  const { out, text } = stream({ isTTY: true, columns: 200 });
  new LiveLine(out).show(1, ['done']);
  expect(text()).toBe(`\r${'█'.repeat(24)} 100 %  done\u001b[K`);
});

it('says elsewhere only what is new, without control characters', () => {
  const { out, text } = stream({ isTTY: false });
  const line = new LiveLine(out);
  for (const share of [0, 0.05, 0.31, 0.39, 1]) line.show(share, [`at ${share}`, 'short']);
  line.end();
  expect(text()).toBe('  0 %  at 0\n 31 %  at 0.31\n100 %  at 1\n');
});
