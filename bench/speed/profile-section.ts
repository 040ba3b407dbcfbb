import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { PhaseTimes } from './profile-events.js';
import type { SpeedSettings } from './settings.js';
import type { LonghaulVariant, SideSettings } from './side.js';
import { SideFailedError } from './side-process.js';
import { atBudgets, FULL, longhaulLabel } from './sides.js';
import type { Texts } from './texts.js';

/** What one profile is taken of: a document is read, then its questions are answered at once. */
export interface ProfileCase {
  readonly name: string;
  readonly tokens: readonly number[];
  readonly questions: readonly (readonly number[])[];
  readonly answerTokens: number;
  readonly variant: LonghaulVariant;
  /** What is reported. */
  readonly phases: readonly ('prefill' | 'decode')[];
}

/** What the profile's process is sent. */
export interface ProfileRequest {
  readonly settings: SideSettings;
  readonly profiled: ProfileCase;
}

export interface ProfileReport extends PhaseTimes {
  readonly case: string;
  readonly phase: string;
  /** Wall seconds of the phase; what is not in graphs is our own code and the runtime's binding. */
  readonly wallSeconds: number;
}

/** Few, since every node of every run is an event. */
const PROFILED_TOKENS = 16;

/** Where our time goes, operator by operator; profiling itself makes short operators look longer. */
export async function profileLonghaul(
  settings: SpeedSettings,
  sideSettings: SideSettings,
  texts: Texts,
  say: (line: string) => void,
): Promise<ProfileReport[]> {
  const reports: ProfileReport[] = [];
  for (const profiled of cases(settings, texts)) {
    const found = await profile(sideSettings, profiled);
    for (const { case: name, phase, wallSeconds } of found) say(`  ${name}, ${phase}: ${wallSeconds.toFixed(2)} s`);
    reports.push(...found);
  }
  return reports;
}

function cases({ readingLengths, budgets, questions }: SpeedSettings, texts: Texts): ProfileCase[] {
  const longest = Math.max(...readingLengths);
  const common = { answerTokens: PROFILED_TOKENS };
  const document = texts.document(longest + 1);
  const [tokens, one] = [document.slice(0, -1), [document.slice(-1)]];
  const reading = readingLengths
    .filter((length) => length !== longest)
    .map((length) => ({
      ...common,
      name: `${length} tokens`,
      tokens: tokens.slice(0, length),
      questions: [],
      variant: FULL,
      phases: ['prefill'] as const,
    }));
  const merging = atBudgets(budgets.slice(0, 1), 'merging').map((variant) => ({
    ...common,
    name: `${longest} tokens, ${longhaulLabel(variant)}`,
    tokens,
    questions: [],
    variant,
    phases: ['prefill'] as const,
  }));
  const answering = [FULL, ...atBudgets(budgets)].map((variant) => ({
    ...common,
    name: `${longest} tokens, ${longhaulLabel(variant)}`,
    tokens,
    questions: one,
    variant,
    phases: variant === FULL ? (['prefill', 'decode'] as const) : (['decode'] as const),
  }));
  const together = atBudgets(budgets.slice(0, 1)).map((variant) => ({
    ...common,
    name: `${longest} tokens, ${longhaulLabel(variant)}, ${questions} items at once`,
    tokens,
    questions: texts.questions(questions),
    variant,
    phases: ['decode'] as const,
  }));
  return [...reading, ...merging, ...answering, ...together];
}

async function profile(settings: SideSettings, profiled: ProfileCase): Promise<ProfileReport[]> {
  const child = fork(join(import.meta.dirname, 'profile-child.js'));
  child.send({ settings, profiled } satisfies ProfileRequest);
  let reports: ProfileReport[] | undefined;
  child.on('message', (message) => {
    reports = message as ProfileReport[];
  });
  const [code, signal] = await once(child, 'exit');
  if (reports === undefined) throw new SideFailedError(`the profile ended with ${signal ?? `exit code ${code}`}.`);
  return reports;
}
