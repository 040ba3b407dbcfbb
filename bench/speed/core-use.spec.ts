import { describe, expect, test } from 'vitest';
import { busySeconds, CoreUse, processSeconds } from './core-use.js';

describe('core use', () => {
  test('counts everything that is not idle', () => {
    expect(busySeconds('cpu  100 200 300 99999 88888 10 20 30 0 0\ncpu0 1 1 1 1')).toBe(6.6);
  });

  test("reads a process's time behind whatever name it has", () => {
    const behind = 'S 1 1 1 0 -1 4194304 100 0 0 0 150 50 70 30 20 0 11 0 1000';
    expect(processSeconds(`4711 (a name) with (parts) ${behind}`)).toBe(3);
    expect(processSeconds('')).toBe(0);
  });

  test('does not count this process as another one', () => {
    const use = new CoreUse([process.pid]);
    const everything = new CoreUse([]);
    // Until it has worked so long, however many others want the cores.
    for (const start = process.cpuUsage(); process.cpuUsage(start).user < 300_000; );
    const [others, all] = [use.others(), everything.others()];
    if (process.platform !== 'linux') return expect(others).toBeNaN();
    expect(others).toBeLessThan(all);
  });
});
