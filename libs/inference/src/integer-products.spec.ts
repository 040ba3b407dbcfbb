import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { overflowsWithSigned } from './integer-products.js';

const cpuFlags = (): string[] =>
  process.platform === 'linux' ? readFileSync('/proc/cpuinfo', 'utf8').split(/\s+/) : [];

test.skipIf(!cpuFlags().some((flag) => /^avx(512)?_vnni$/.test(flag)))(
  'products with signed weights are right on a processor with VNNI',
  async () => expect(await overflowsWithSigned()).toBe(false),
);
