import { expect, test } from 'vitest';
import { joinPhases, NOTHING, type ProfileEvent, timesByPhase } from './profile-events.js';

const run = (ts: number, dur: number): ProfileEvent => ({ cat: 'Session', name: 'model_run', ts, dur });
const node = (ts: number, dur: number, name: string, operator: string): ProfileEvent => ({
  cat: 'Node',
  name: `${name}_kernel_time`,
  ts,
  dur,
  args: { op_name: operator },
});

test('node times are summed by phase, operator and place', () => {
  const events = [
    { cat: 'Session', name: 'session_initialization', ts: 0, dur: 900 },
    // events are written when they end: a run comes behind its nodes
    node(1100, 400_000, '/layers.0/attn/head.2/Softmax', 'Softmax'),
    node(401_100, 100_000, '/layers.11/attn/head.0/Softmax', 'Softmax'),
    node(501_100, 300_000, '/layers.0/mlp/Gemm', 'Gemm'),
    run(1000, 1_000_000),
    node(2_000_100, 50_000, '/layers.0/mlp/Gemm', 'Gemm'),
    run(2_000_000, 100_000),
  ];
  const phases = timesByPhase(events, ['prefill', 'decode']);
  expect(phases.get('prefill')).toEqual({
    graphSeconds: 1,
    nodeSeconds: 0.8,
    runs: 1,
    operators: [
      { operator: 'Softmax', place: '/layers.*/attn/head.*/Softmax', seconds: 0.5, executions: 2 },
      { operator: 'Gemm', place: '/layers.*/mlp/Gemm', seconds: 0.3, executions: 1 },
    ],
  });
  expect(phases.get('decode')?.operators).toEqual([
    { operator: 'Gemm', place: '/layers.*/mlp/Gemm', seconds: 0.05, executions: 1 },
  ]);

  const joined = joinPhases([phases, new Map([['decode', { ...NOTHING, graphSeconds: 2, runs: 3 }]])]);
  expect(joined.get('decode')).toMatchObject({ graphSeconds: 2.1, runs: 4 });
});
