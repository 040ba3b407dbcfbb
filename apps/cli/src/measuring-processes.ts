import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { CalibrationSample, SampleMeasure } from '@app/inference';

/** What a measuring process is told to do: one sample, `seen` if its question decides what is merged. */
export interface MeasuringOrder {
  readonly sample: CalibrationSample;
  readonly seen: boolean;
}

/** What it says: the share done after each head, the measure at the end. */
export type MeasuringReport = { readonly share: number } | { readonly measure: SampleMeasure | undefined };

export interface MeasuringOptions {
  readonly modelPath: string;
  readonly cacheDir: string;
  readonly processes: number;
}

/** A measuring process that ended before its sample was done. */
export class MeasuringError extends Error {
  override readonly name = 'MeasuringError';
}

/**
 * Measures samples in processes of one thread each, which beats one process of many threads: the products are small.
 * Samples take turns in being merged with their question seen and unseen.
 * @param onShare called with the share done, in (0, 1]
 * @throws MeasuringError
 */
export async function measureInProcesses(
  samples: readonly CalibrationSample[],
  { modelPath, cacheDir, processes }: MeasuringOptions,
  onShare: (share: number) => void,
): Promise<SampleMeasure[]> {
  const waiting = samples.map((sample, index): MeasuringOrder => ({ sample, seen: index % 2 === 0 }));
  const shares = samples.map(() => 0);
  const measures: (SampleMeasure | undefined)[] = [];
  const children = Array.from({ length: Math.min(processes, samples.length) }, () =>
    fork(join(import.meta.dirname, 'measuring-process.js'), [modelPath, cacheDir], { serialization: 'advanced' }),
  );
  const work = async (child: ChildProcess): Promise<void> => {
    for (let order = waiting.shift(); order !== undefined; order = waiting.shift()) {
      const index = samples.indexOf(order.sample);
      measures[index] = await measured(child, order, (share) => {
        shares[index] = share;
        onShare(shares.reduce((sum, part) => sum + part, 0) / samples.length);
      });
    }
  };
  try {
    await Promise.all(children.map(work));
  } finally {
    for (const child of children) child.kill();
  }
  return measures.filter((measure) => measure !== undefined);
}

/** One sample measured by a process. */
async function measured(
  child: ChildProcess,
  order: MeasuringOrder,
  onShare: (share: number) => void,
): Promise<SampleMeasure | undefined> {
  const ended = new AbortController();
  const exit = once(child, 'exit', { signal: ended.signal }).then(([code, signal]) => {
    throw new MeasuringError(
      `A process that measures was expected to report, but it ended (${signal ?? `exit code ${code}`}). Run again with fewer --processes if memory was short.`,
    );
  });
  const report = new Promise<SampleMeasure | undefined>((resolve) => {
    const listen = (message: MeasuringReport): void => {
      if ('share' in message) {
        onShare(message.share);
      } else {
        child.off('message', listen);
        resolve(message.measure);
      }
    };
    child.on('message', listen);
  });
  child.send(order);
  try {
    return await Promise.race([report, exit]);
  } finally {
    exit.catch(() => undefined);
    ended.abort();
  }
}
