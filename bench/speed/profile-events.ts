/** One event of onnxruntime's profile; times in microseconds. */
export interface ProfileEvent {
  readonly cat: string;
  readonly name: string;
  readonly ts: number;
  readonly dur: number;
  readonly args?: { readonly op_name?: string };
}

/** Time of all nodes of one kind at one place of the graph, over all layers, heads and runs. */
export interface OperatorTime {
  readonly operator: string;
  /** Node name with numbers replaced: `/layers.*` + `/attn/head.*` + `/Softmax`. */
  readonly place: string;
  readonly seconds: number;
  readonly executions: number;
}

export interface PhaseTimes {
  /** Of all runs of graphs. */
  readonly graphSeconds: number;
  /** Of all nodes in them. */
  readonly nodeSeconds: number;
  readonly runs: number;
  /** Most expensive first. */
  readonly operators: readonly OperatorTime[];
}

const KERNEL = '_kernel_time';

/**
 * Sums the node times of one session's profile by phase.
 * @param phases the phase of each run of the session, in order; the k-th `model_run` event belongs to the k-th entry
 */
export function timesByPhase(events: readonly ProfileEvent[], phases: readonly string[]): Map<string, PhaseTimes> {
  const runs = events.filter(({ name }) => name === 'model_run').sort((a, b) => a.ts - b.ts);
  const nodes = events.filter(({ cat, name }) => cat === 'Node' && name.endsWith(KERNEL)).sort((a, b) => a.ts - b.ts);
  const sums = new Map<string, { graphSeconds: number; runs: number; byPlace: Map<string, OperatorTime> }>();
  let next = 0;
  for (const [index, run] of runs.entries()) {
    const phase = phases[index] ?? 'unnamed';
    const sum = sums.get(phase) ?? { graphSeconds: 0, runs: 0, byPlace: new Map<string, OperatorTime>() };
    sums.set(phase, sum);
    sum.graphSeconds += run.dur / 1e6;
    sum.runs++;
    for (; next < nodes.length && nodes[next]!.ts <= run.ts + run.dur; next++) add(sum.byPlace, nodes[next]!);
  }
  return new Map(
    [...sums].map(([phase, { graphSeconds, runs: count, byPlace }]) => {
      const operators = [...byPlace.values()].sort((a, b) => b.seconds - a.seconds);
      const nodeSeconds = operators.reduce((total, { seconds }) => total + seconds, 0);
      return [phase, { graphSeconds, nodeSeconds, runs: count, operators }];
    }),
  );
}

function add(byPlace: Map<string, OperatorTime>, { name, dur, args }: ProfileEvent): void {
  const place = name.slice(0, -KERNEL.length).replaceAll(/\d+/g, '*');
  const operator = args?.op_name ?? 'unknown';
  const key = `${operator} ${place}`;
  const before = byPlace.get(key) ?? { operator, place, seconds: 0, executions: 0 };
  byPlace.set(key, { ...before, seconds: before.seconds + dur / 1e6, executions: before.executions + 1 });
}

export const NOTHING: PhaseTimes = { graphSeconds: 0, nodeSeconds: 0, runs: 0, operators: [] };

/** Phases of several sessions, added up. */
export function joinPhases(sessions: readonly Map<string, PhaseTimes>[]): Map<string, PhaseTimes> {
  const joined = new Map<string, PhaseTimes>();
  for (const session of sessions) {
    for (const [phase, times] of session) {
      const before = joined.get(phase) ?? NOTHING;
      joined.set(phase, {
        graphSeconds: before.graphSeconds + times.graphSeconds,
        nodeSeconds: before.nodeSeconds + times.nodeSeconds,
        runs: before.runs + times.runs,
        operators: [...before.operators, ...times.operators].sort((a, b) => b.seconds - a.seconds),
      });
    }
  }
  return joined;
}
