import { measureSample, Probe } from '@app/inference';
import type { MeasuringOrder, MeasuringReport } from './measuring-processes.js';

/** One of the processes of `measureInProcesses`: measures the samples it is sent, one after another, until it is ended. */
const [modelPath = '', cacheDir = ''] = process.argv.slice(2);
const opened = Probe.open({ modelPath, cacheDir, precision: 'f32', threads: 1 });

process.on('message', async ({ sample, seen }: MeasuringOrder) => {
  const probe = await opened;
  const heads = probe.shape.layers * probe.shape.kvHeads;
  let done = 0;
  const measure = await measureSample(probe, sample, seen ? 'questions' : 'window', () =>
    report({ share: ++done / heads }),
  );
  report({ measure });
});
process.on('disconnect', () => process.exit());

function report(message: MeasuringReport): void {
  process.send?.(message);
}
