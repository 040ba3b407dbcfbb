import { join, resolve } from 'node:path';
import { GgufError, GgufModel } from '@app/gguf-model';
import { CALIBRATION_VERSION, type CalibrationFile, calibrationOf, calibrationPath, ModelFiles } from '@app/inference';
import type { CalibrateOptions } from './calibrate.command.js';
import { calibrationSamples } from './calibration-samples.js';
import { UsageError } from './cli-error.js';
import { measureInProcesses } from './measuring-processes.js';
import { ProgressLine } from './progress-line.js';
import { printJson } from './service.js';
import { assertWritable, writeWhole } from './whole-file.js';

/** Measures, writes the calibration file and says what was found. */
export async function calibrate(options: CalibrateOptions): Promise<void> {
  const modelPath = resolve(options.model);
  const out = resolve(options.out ?? calibrationPath(modelPath));
  await assertWritable(out);
  const gguf = await GgufModel.open(modelPath).catch((error: unknown) => {
    throw error instanceof GgufError ? new UsageError(error.message.replace('LONGHAUL_MODEL', '--model')) : error;
  });
  try {
    const samples = await calibrationSamples(gguf, options);
    // Made before the processes that all read it start. Exact weights: a head's share of the answer should not be a share of the rounding.
    const cacheDir = join(options.dataDir, 'graphs');
    const { shape } = (await ModelFiles.prepare(gguf, cacheDir, 'f32')).description;
    if (!options.json)
      console.log(`${samples.length} tasks of ${options.length} tokens, ${shape.layers} x ${shape.kvHeads} KV heads`);
    const progress = new ProgressLine('calibrating', options.json ? process.stderr : process.stdout);
    const measures = await measureInProcesses(samples, { modelPath, cacheDir, processes: options.processes }, (share) =>
      progress.show(share),
    );
    progress.end();
    const { sensitivity, shares, loss } = calibrationOf(measures);
    const { kvHeads } = shape;
    const file: CalibrationFile = {
      version: CALIBRATION_VERSION,
      model_sha256: await gguf.contentHash(),
      sensitivity: inRows(rounded(sensitivity), kvHeads),
      shares: rounded(shares),
      loss: inRows(inRows(rounded(loss), shares.length), kvHeads),
      made: {
        command: `longhaul calibrate --samples ${options.samples} --length ${options.length} --seed ${options.seed}`,
        date: new Date().toISOString().slice(0, 10),
        precision: 'f32',
        measure:
          'KL of the answer against the full cache with one KV head cut to 4 sinks and 64 recent tokens (sensitivity) or merged to a share (loss)',
      },
    };
    await writeWhole(out, [`${JSON.stringify(file, null, 1)}\n`]);
    if (options.json) printJson({ out, ...file.made, tasks: samples.length, layers: shape.layers, kv_heads: kvHeads });
    else console.log(`written to ${out}\n${summary(sensitivity, kvHeads)}`);
  } finally {
    await gguf.close();
  }
}

const rounded = (values: Float32Array): number[] => Array.from(values, (value) => Number(value.toPrecision(4)));

function inRows<T>(values: readonly T[], length: number): T[][] {
  return Array.from({ length: values.length / length }, (_, row) => values.slice(row * length, (row + 1) * length));
}

/** Which heads matter most, and how unevenly. */
function summary(sensitivity: Float32Array, kvHeads: number): string {
  const order = [...sensitivity.keys()].sort((a, b) => sensitivity[b]! - sensitivity[a]!);
  const total = sensitivity.reduce((sum, value) => sum + value, 0);
  const quarter = order.slice(0, Math.floor(order.length / 4)).reduce((sum, head) => sum + sensitivity[head]!, 0);
  const top = order
    .slice(0, 8)
    .map((head) => `${Math.floor(head / kvHeads)}/${head % kvHeads}: ${sensitivity[head]!.toFixed(1)}`);
  return `most sensitive (layer/head): ${top.join(', ')}\n25 % of the heads carry ${((100 * quarter) / total).toFixed(0)} % of the sensitivity`;
}
