import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Engine } from '@app/inference';
import { InferenceSession } from 'onnxruntime-node';
import { joinPhases, NOTHING, type PhaseTimes, type ProfileEvent, timesByPhase } from './profile-events.js';
import type { ProfileReport, ProfileRequest } from './profile-section.js';

/** A session, its profile's file prefix, and the phase of each of its runs. */
interface Watched {
  readonly session: InferenceSession;
  readonly prefix: string;
  readonly phases: string[];
}

/** Operators that are reported, of some hundred. */
const KEPT = 20;

let phase = 'start';

/** From here on every session writes a profile, whoever creates it: the engine does not have to know. */
function watchSessions(folder: string): Watched[] {
  const watched: Watched[] = [];
  const create = InferenceSession.create.bind(InferenceSession) as (
    model: string,
    options: InferenceSession.SessionOptions,
  ) => Promise<InferenceSession>;
  const watching = async (model: string, options: InferenceSession.SessionOptions) => {
    const prefix = `session-${watched.length}-`;
    const session = await create(model, { ...options, enableProfiling: true, profileFilePrefix: join(folder, prefix) });
    const phases: string[] = [];
    const run = session.run.bind(session);
    session.run = ((...args: Parameters<typeof run>) => {
      phases.push(phase);
      return run(...args);
    }) as typeof session.run;
    watched.push({ session, prefix, phases });
    return session;
  };
  (InferenceSession as { create: unknown }).create = watching;
  return watched;
}

async function readProfiles(folder: string, watched: readonly Watched[]): Promise<Map<string, PhaseTimes>> {
  for (const { session } of watched) session.endProfiling();
  const files = await readdir(folder);
  const all = [];
  for (const { prefix, phases } of watched) {
    const file = files.find((name) => name.startsWith(prefix));
    if (file === undefined) continue;
    const events = JSON.parse(await readFile(join(folder, file), 'utf8')) as ProfileEvent[];
    all.push(timesByPhase(events, phases));
  }
  return joinPhases(all);
}

async function profile({ settings, profiled }: ProfileRequest): Promise<ProfileReport[]> {
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-profile-'));
  try {
    const watched = watchSessions(folder);
    const { modelPath, graphsDir: cacheDir, precision, kvType, threads } = settings;
    const engine = await Engine.open({ modelPath, cacheDir, precision, kvType, threads });
    const { tokens, questions, variant, answerTokens } = profiled;
    const { reading, ...compression } = variant;
    const wall = new Map<string, number>();
    const during = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
      phase = name;
      const start = performance.now();
      const result = await work();
      wall.set(name, (performance.now() - start) / 1000);
      return result;
    };
    const warm = await engine.prefill({ tokens: tokens.slice(0, 300), compression, reading });
    const sampling = { temperature: 0, topP: 1, maxTokens: 2, stop: [] };
    await engine.generate({ handle: warm.handle, suffix: tokens.slice(0, 1), sampling });
    await engine.release(warm.handle);

    const { handle } = await during('prefill', () => engine.prefill({ tokens, compression, reading }));
    if (questions.length > 0) {
      await during('decode', () =>
        Promise.all(
          questions.map((suffix) =>
            engine.generate({ handle, suffix, sampling: { ...sampling, maxTokens: answerTokens } }),
          ),
        ),
      );
    }
    const times = await readProfiles(folder, watched);
    await engine.close();
    return profiled.phases.map((name) => {
      const { operators, ...rest } = times.get(name) ?? NOTHING;
      return {
        case: profiled.name,
        phase: name,
        wallSeconds: wall.get(name) ?? 0,
        ...rest,
        operators: operators.slice(0, KEPT),
      };
    });
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Entry of the profile's process: is sent one request, sends the reports and ends. */
const [request] = (await once(process, 'message')) as [ProfileRequest];
process.send?.(await profile(request));
process.disconnect?.();
