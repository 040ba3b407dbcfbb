import { mean, median } from '../averages.js';
import { percent, table } from '../markdown-table.js';
import type { MachineRates } from './machine-rates.js';
import { type Comparison, compare, type Measurement } from './measurement.js';
import { decodeCost, type HeldAs, type ModelCost, prefillCost, type Shape, secondsAtRoofline } from './model-cost.js';
import type { ProfileReport } from './profile-section.js';
import type { Section } from './settings.js';
import type { SideName } from './side.js';

/** Everything that one run of the bench found; also what its JSON file holds. */
export interface SpeedResults {
  readonly date: string;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly shape: Shape;
  /** How each side holds weights and cache. */
  readonly held: Readonly<Record<SideName, HeldAs>>;
  readonly rates?: MachineRates;
  readonly measurements: readonly Measurement[];
  readonly profiles?: readonly ProfileReport[];
}

const TITLES: Partial<Record<Section, string>> = {
  prefill: 'Prefill',
  decode: 'Decode, one item',
  reading: 'First token',
  batch: 'Batch of documents and questions',
  load: 'Start of a process to its first token',
  memory: 'Memory',
};

/** The results as Markdown. */
export function report(results: SpeedResults): string {
  const comparisons = compare(results.measurements);
  const parts = [
    machineLine(results),
    ...Object.entries(TITLES).map(([section, title]) => comparisonPart(section as Section, title, comparisons)),
    bytesPart(results.measurements),
    sharePart(results.measurements),
    answersPart(results.measurements),
    results.rates === undefined ? '' : ratesPart(results.rates) + rooflinePart(results, results.rates),
    ...(results.profiles ?? []).map(profilePart),
  ];
  return parts.filter((part) => part !== '').join('\n');
}

function machineLine({ date, machine, measurements }: SpeedResults): string {
  const facts = Object.entries(machine).map(([name, value]) => `${name} ${value}`);
  const others = measurements.flatMap((row) => row.others).filter((share) => !Number.isNaN(share));
  const disturbed =
    others.length === 0
      ? 'use of the cores by other processes unknown'
      : `other processes used ${percent(mean(others), 0)} of the cores on average, ${percent(Math.max(...others), 0)} at most`;
  return `${date}; ${facts.join(', ')}; ${disturbed}.\n`;
}

function comparisonPart(section: Section, title: string, comparisons: readonly Comparison[]): string {
  const rows = comparisons.filter(({ ours }) => ours.section === section);
  if (rows.length === 0) return '';
  const head = ['work', 'Longhaul', '', 'node-llama-cpp, its best', '', 'ratio', 'rounds', 'others'];
  const cells = rows.map(({ ours, peer, ratio, low, high }) => [
    ours.work,
    ours.variant,
    figure(ours),
    [peer.variant, peer.note].filter((text) => text !== undefined).join('; '),
    figure(peer),
    `**${ratio.toFixed(2)}x**`,
    `${low.toFixed(2)} to ${high.toFixed(2)} (${ours.values.length})`,
    percent(mean([...ours.others, ...peer.others]), 0),
  ]);
  return `### ${title}\n\n${table(head, cells)}`;
}

/** The median, in the unit that a reader expects. */
export function figure({ section, unit, values }: Pick<Measurement, 'section' | 'unit' | 'values'>): string {
  const value = median(values);
  if (unit === 's/token')
    return section === 'prefill' ? `${(1 / value).toFixed(0)} tok/s` : `${(1000 * value).toFixed(1)} ms`;
  if (unit === 's') return value < 1 ? `${(1000 * value).toFixed(0)} ms` : `${value.toFixed(1)} s`;
  if (unit === 'bytes' || unit === 'kv bytes') return `${(value / 1e6).toFixed(0)} MB`;
  return unit === 'share' ? percent(value) : value.toFixed(0);
}

function bytesPart(measurements: readonly Measurement[]): string {
  const rows = measurements.filter(({ unit }) => unit === 'kv bytes');
  if (rows.length === 0) return '';
  const cells = rows.map((row) => {
    const full = rows.find((other) => other.side === 'longhaul' && other.work === row.work)!;
    const share = median(row.values) / median(full.values);
    return [row.work, row.side, row.variant, figure(row), `${share.toFixed(3)}x`];
  });
  return `### Bytes of KV held\n\n${table(['work', 'side', 'setting', 'bytes', 'of our full cache'], cells)}`;
}

function sharePart(measurements: readonly Measurement[]): string {
  const rows = measurements.filter(({ unit }) => unit === 'share');
  if (rows.length === 0) return '';
  const cells = rows.map((row) => [row.work, row.variant, figure(row)]);
  return `### Compression\n\n${table(['work', 'setting', 'of reading'], cells)}`;
}

function answersPart(measurements: readonly Measurement[]): string {
  const rows = measurements.filter(({ unit }) => unit === 'tokens');
  if (rows.length === 0) return '';
  const cells = rows.map((row) => [row.side, row.variant, figure(row)]);
  return `### Tokens generated in the batch\n\n${table(['side', 'setting', 'tokens'], cells)}`;
}

function ratesPart({ kernels }: MachineRates): string {
  const cells = kernels.map(({ kernel, rate, unit }) => [kernel, `${(rate / 1e9).toFixed(1)} G${unit}`]);
  return `### Rates of the machine\n\n${table(['kernel', 'best rate'], cells)}\n`;
}

/** Every figure of reading and decoding beside what its operations and bytes would take at the measured rates. */
function rooflinePart({ measurements, shape, held }: SpeedResults, { roofline }: MachineRates): string {
  const cells = measurements.flatMap((row) => {
    const cost = costOf(row, shape, held[row.side]);
    if (cost === undefined) return [];
    const [measured, least] = [median(row.values), secondsAtRoofline(cost, roofline)];
    const ms = (seconds: number) => `${(1000 * seconds).toFixed(2)} ms`;
    return [[row.section, row.work, row.side, row.variant, ms(measured), ms(least), percent(least / measured, 0)]];
  });
  if (cells.length === 0) return '';
  const head = ['phase', 'work', 'side', 'setting', 'a token', 'at the roofline', 'share reached'];
  return `### Share of the roofline\n\n${table(head, cells)}`;
}

/** Cost of one token. */
function costOf({ section, tokens, entries }: Measurement, shape: Shape, held: HeldAs): ModelCost | undefined {
  if (tokens === undefined) return undefined;
  if (section === 'decode') return decodeCost(shape, entries ?? tokens, held);
  if (section !== 'prefill') return undefined;
  const { linearFlops, attentionFlops, bytes } = prefillCost(shape, tokens);
  return { linearFlops: linearFlops / tokens, attentionFlops: attentionFlops / tokens, bytes };
}

const SHOWN_OPERATORS = 12;

function profilePart(profile: ProfileReport): string {
  const { wallSeconds, graphSeconds, operators, runs } = profile;
  const row = (operator: string, place: string, seconds: number, executions: string) => [
    operator,
    place,
    `${(1000 * seconds).toFixed(0)} ms`,
    percent(seconds / wallSeconds),
    executions,
  ];
  const inNodes = profile.nodeSeconds;
  const cells = [
    ...operators
      .slice(0, SHOWN_OPERATORS)
      .map(({ operator, place, seconds, executions }) => row(operator, `\`${place}\``, seconds, String(executions))),
    row('all other operators', '', inNodes - sum(operators.slice(0, SHOWN_OPERATORS)), ''),
    row('runtime between operators', '', graphSeconds - inNodes, ''),
    row('outside graphs', 'our code, binding, copies', wallSeconds - graphSeconds, ''),
  ];
  const head = ['operator', 'where', 'time', 'share', 'executions'];
  const title = `### Profile: ${profile.case}, ${profile.phase}`;
  return `${title}\n\n${wallSeconds.toFixed(2)} s, ${runs} runs of graphs.\n\n${table(head, cells)}`;
}

const sum = (operators: readonly { readonly seconds: number }[]): number =>
  operators.reduce((total, { seconds }) => total + seconds, 0);
