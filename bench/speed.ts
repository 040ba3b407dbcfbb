import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { GgufModel } from '@app/gguf-model';
import { entryBytes } from '@app/inference';
import { measureBatch } from './speed/batch-section.js';
import { measureDecode } from './speed/decode-section.js';
import { checkGolden } from './speed/golden.js';
import { lengthPlot } from './speed/length-plot.js';
import { type MachineRates, measureRates } from './speed/machine-rates.js';
import type { Measurement } from './speed/measurement.js';
import { type HeldAs, layerWeights } from './speed/model-cost.js';
import { measurePrefill } from './speed/prefill-section.js';
import { measureLoad, measureMemory } from './speed/process-section.js';
import { type ProfileReport, profileLonghaul } from './speed/profile-section.js';
import { measureReading } from './speed/reading-section.js';
import { report, type SpeedResults } from './speed/report.js';
import { readSettings, type Section, type SpeedSettings } from './speed/settings.js';
import type { SideName, SideSettings } from './speed/side.js';
import { Sides } from './speed/sides.js';
import { stretchModel } from './speed/stretched-model.js';
import { Texts } from './speed/texts.js';

/**
 * Longhaul beside node-llama-cpp on the same model file and the same documents, interleaved. Run by `npm run bench:speed
 * -- [--json FILE] [--rounds N] [--only prefill,decode,...]`; `speed/settings.ts` lists every option.
 */
const ROOT = join(import.meta.dirname, '../..');

const MEASURED: Partial<Record<Section, (sides: Sides) => Promise<void>>> = {
  load: measureLoad,
  prefill: measurePrefill,
  decode: measureDecode,
  reading: measureReading,
  batch: measureBatch,
  memory: measureMemory,
};

async function main(): Promise<void> {
  const settings = readSettings(process.argv.slice(2), ROOT);
  const modelPath =
    settings.context === 0
      ? settings.modelPath
      : stretchModel(settings.modelPath, settings.context, join(settings.dataDir, 'bench'));
  const model = await GgufModel.open(modelPath);
  const { hyperparameters: shape } = model;
  const texts = new Texts(model.tokenizer, join(ROOT, 'examples/documents'));
  await model.close();
  const sideSettings: SideSettings = {
    modelPath,
    threads: settings.threads,
    graphsDir: join(settings.dataDir, 'graphs'),
    precision: settings.precision,
    kvType: settings.kvType,
    clock: settings.clock,
    stateDir: existsSync('/dev/shm') ? '/dev/shm' : tmpdir(),
  };
  const found = {
    date: new Date().toISOString().slice(0, 16),
    machine: machine(settings),
    settings: withoutPlaces(settings),
    shape,
    held: heldAs(settings, shape),
    measurements: [] as Measurement[],
  };

  let rates: MachineRates | undefined;
  if (settings.only.includes('rates')) {
    say('rates');
    rates = await measureRates(settings.threads);
  }
  const sections = settings.only.flatMap((section) => {
    const measure = MEASURED[section];
    return measure === undefined ? [] : [{ section, measure }];
  });
  const results = (): SpeedResults => ({ ...found, ...(rates === undefined ? {} : { rates }) });
  if (sections.length > 0) {
    const keep = (measurements: readonly Measurement[]) => {
      found.measurements.push(...measurements);
      write(settings.json, results());
    };
    const sides = await Sides.open(settings, sideSettings, { shape, texts }, { found: keep, say });
    try {
      await checkGolden(sides);
      for (const { section, measure } of sections) {
        say(section);
        await measure(sides);
      }
    } finally {
      await sides.close();
    }
  }
  let profiles: ProfileReport[] | undefined;
  if (settings.only.includes('profile')) {
    say('profile');
    profiles = await profileLonghaul(settings, sideSettings, texts, say);
  }
  write(settings.json, { ...results(), ...(profiles === undefined ? {} : { profiles }) });
  console.log(
    `\n${readFileSync(beside(settings.json, 'md'), 'utf8')}\nwritten: ${settings.json}, .md and .svg beside it`,
  );
}

/** What was measured, not where: results are kept and compared on other machines. */
const withoutPlaces = ({ json: _json, dataDir: _dataDir, modelPath, ...settings }: SpeedSettings) => ({
  model: basename(modelPath),
  ...settings,
});

const say = (line: string): void => console.log(line);
const beside = (json: string, extension: string): string => `${json.replace(/\.json$/, '')}.${extension}`;

function write(json: string, results: SpeedResults): void {
  mkdirSync(dirname(json), { recursive: true });
  writeFileSync(json, `${JSON.stringify(results, null, 1)}\n`);
  writeFileSync(beside(json, 'md'), report(results));
  writeFileSync(beside(json, 'svg'), lengthPlot(results.measurements));
}

function machine({ threads, rounds, clock }: SpeedSettings): SpeedResults['machine'] {
  const version = (name: string): string =>
    (JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8')) as { version: string }).version;
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    threads,
    node: process.versions.node,
    'onnxruntime-node': version('onnxruntime-node'),
    'node-llama-cpp': version('node-llama-cpp'),
    rounds,
    seconds: clock === 'wall' ? 'of the wall clock' : 'of CPU time',
  };
}

/** Ours: of the default model, a fifth in 8 and the rest in 4 bits with a float scale a block of 32; keys, values and masses as it was told. The peer: as in its file, and float16. */
function heldAs(
  { precision, kvType, modelPath }: SpeedSettings,
  shape: SpeedResults['shape'],
): Record<SideName, HeldAs> {
  const weights = layerWeights(shape) + shape.vocabulary * shape.hidden;
  return {
    longhaul: {
      weightBytes: precision === 'q8' ? 0.77 : 4,
      entryBytes: entryBytes(shape.headSize, kvType),
    },
    peer: { weightBytes: statSync(modelPath).size / weights, entryBytes: 2 * 2 * shape.headSize },
  };
}

main().catch((error: Error) => {
  console.error(error.message);
  process.exit(1);
});
