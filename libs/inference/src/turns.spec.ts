import { describe, expect, test } from 'vitest';
import { EngineAbortedError } from './engine-errors.js';
import { type Turn, Turns } from './turns.js';

/** Runs that take as long as they say, on a clock of their own. */
class Running {
  readonly order: string[] = [];
  private clock = 0;
  readonly turns = new Turns(() => this.clock);

  /** Takes `runs` turns of `milliseconds` each. */
  async take(turn: Turn, name: string, runs: number, milliseconds: number): Promise<void> {
    try {
      for (let i = 0; i < runs; i++) {
        await turn.next();
        this.clock += milliseconds;
        this.order.push(name);
      }
    } finally {
      turn.leave();
    }
  }

  prefill(name: string, chunks: number, milliseconds: number, signal?: AbortSignal): Promise<void> {
    return this.take(this.turns.prefill(chunks, signal), name, chunks, milliseconds);
  }

  decode(steps: number, milliseconds: number): Promise<void> {
    return this.take(this.turns.decode(), 'd', steps, milliseconds);
  }
}

describe('turns', () => {
  test('a prefill and decoding get the same time while both go on', async () => {
    const running = new Running();
    await Promise.all([running.prefill('p', 4, 30), running.decode(11, 10)]);
    expect(running.order.join('')).toBe('pdddpdddpdddpdd');
  });

  test('a step that is longer than a chunk is followed by a chunk', async () => {
    const running = new Running();
    await Promise.all([running.decode(4, 50), running.prefill('p', 4, 20)]);
    expect(running.order.join('')).toBe('pdpdpdpd');
  });

  test('whoever is alone goes on without waiting', async () => {
    const running = new Running();
    await running.decode(5, 10);
    await running.prefill('p', 3, 10);
    expect(running.order.join('')).toBe('dddddppp');
  });

  test('decoding owes nothing for what it did while no prefill waited', async () => {
    const running = new Running();
    await running.decode(100, 10);
    running.order.length = 0;
    await Promise.all([running.prefill('p', 3, 10), running.decode(3, 10)]);
    expect(running.order.join('')).toBe('pdpdpd');
  });

  test('of several prefills the one with least left goes first', async () => {
    const running = new Running();
    await Promise.all([running.prefill('l', 5, 10), running.prefill('s', 2, 10), running.prefill('m', 3, 10)]);
    expect(running.order.join('')).toBe('ssmmmlllll');
  });

  test('a prefill that is given up waits no longer, and the others go on', async () => {
    const running = new Running();
    const abort = new AbortController();
    const long = running.prefill('l', 9, 10, abort.signal);
    const short = running.prefill('s', 3, 10);
    abort.abort();
    await expect(long).rejects.toThrow(EngineAbortedError);
    await short;
    expect(running.order.join('')).toBe('sss');
  });
});
