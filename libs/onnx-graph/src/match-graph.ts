import { ELEMENT, GraphBuilder, type Value } from './graph-builder.js';

/** Names of the inputs and outputs of the graph that matches one KV head's kept entries: n query rows, M entries. */
export const MATCH_IO = {
  /** float `[n, D]` after RoPE */
  queries: 'queries',
  /** float `[n, 1]` log of the sum of each query's exponentials over the entries there were */
  logSum: 'log_sum',
  /** float `[n, 1]` share of the query's attention that these had, times how much the query counts */
  share: 'share',
  /** float `[n, D]` what it got of their values: their mean by attention, times `share` */
  output: 'output',
  /** float `[M, D]` */
  keys: 'keys',
  /** float `[M, D]` */
  values: 'values',
  /** float `[M]` */
  logMass: 'log_mass',
  /** float `[M, D]` and `[M]` */
  matchedValues: 'matched_values',
  matchedLogMass: 'matched_log_mass',
} as const;

/**
 * Steps of the masses, each by this power of its factor: together they come as far as ten by the factor itself (residual within
 * 0.4 %, log-masses within 0.004), the last of which ends the swinging of those before.
 */
export const MASS_POWERS: readonly number[] = [2, 3, 2, 2, 1];
/** Steps of the values: what the questions miss then is within 3 % of what the exact solution leaves. */
export const VALUE_STEPS = 12;
/** Ridge of the values, relative to the mean of the diagonal: from 0.003 to 0.1 all the same. */
export const RIDGE = 0.01;
/** How far a mass may move from what it was. */
export const MASS_REACH = { down: 1e-4, up: 30 } as const;

const TINY = 1e-20;

/**
 * Attention Matching (Zweiger et al., arXiv 2602.16284): masses and values of kept entries such that queries get of them what they got
 * of all. With w = mass, A = exp(score - log sum) and s = share, one row a query:
 *
 * - masses: A w = 1, least squares weighted by s, w >= 0, by multiplicative steps from the tokens each entry stands for (Lee and
 *   Seung's rule, over-relaxed; the paper solves from nothing, so that merged entries would lose what they stand for);
 * - values: P v = output, P being the rows of A w brought to sum s; the smallest change to v in the ridge sense,
 *   v + P' (P P' + r)^-1 (output - P v), by steps of conjugate residuals (the paper: least squares from nothing).
 */
export function buildMatchGraph(headSize: number): Uint8Array {
  const graph = new GraphBuilder('match');
  const queries = graph.input(MATCH_IO.queries, 'float');
  const logSum = graph.input(MATCH_IO.logSum, 'float');
  const share = graph.input(MATCH_IO.share, 'float');
  const output = graph.input(MATCH_IO.output, 'float');
  const keys = graph.input(MATCH_IO.keys, 'float');
  const values = graph.input(MATCH_IO.values, 'float');
  const logMass = graph.input(MATCH_IO.logMass, 'float');
  const tiny = graph.float('tiny', TINY);
  const rowShape = graph.integers('row', [1, -1]);
  const columnShape = graph.integers('column', [-1, 1]);
  const row = (name: string, of: Value) => graph.node(`${name}/row`, 'Reshape', [of, rowShape]);
  const column = (name: string, of: Value) => graph.node(`${name}/column`, 'Reshape', [of, columnShape]);

  // In one product: s A, by the logarithms of what its rows are divided by and counted by.
  const factor = graph.node('log_factor', 'Sub', [graph.node('log_share', 'Log', [share]), logSum]);
  const scores = graph.node('scores', 'Gemm', [queries, keys, factor], {
    attributes: { transB: 1, alpha: { float: 1 / Math.sqrt(headSize) } },
  });
  const weighed = graph.node('weighed', 'Exp', [scores]);
  const before = row('before', graph.node('mass', 'Exp', [logMass]));
  // No less than what is found counts as, so that entries nobody looks at keep their mass.
  const atAll = graph.node('wanted/sums', 'MatMul', [row('share', share), weighed]);
  const wanted = graph.node('wanted', 'Max', [atAll, tiny]);
  const [leastChange, mostChange] = [graph.float('least_change', 1e-6), graph.float('most_change', 1e6)];
  let mass = before;
  for (const [step, power] of MASS_POWERS.entries()) {
    const at = `mass.${step}`;
    const sums = graph.node(`${at}/sums`, 'MatMul', [weighed, column(at, mass)]);
    const found = graph.node(`${at}/found`, 'MatMul', [row(`${at}/sums`, sums), weighed]);
    const ratio = graph.node(`${at}/ratio`, 'Div', [wanted, graph.node(`${at}/above_0`, 'Max', [found, tiny])]);
    // A power of it stays a number, and further than this no mass may move anyway.
    const change = graph.node(`${at}/change`, 'Clip', [ratio, leastChange, mostChange]);
    for (let times = 0; times < power; times++) {
      mass = graph.node(`${at}/times.${times}`, 'Mul', [mass, change]);
    }
  }
  const bound = (name: string, factor: number) =>
    graph.node(name, 'Mul', [before, graph.float(`${name}/factor`, factor)]);
  const atLeast = graph.node('mass/at_least', 'Max', [mass, bound('mass/least', MASS_REACH.down)]);
  mass = graph.node('mass/within', 'Min', [atLeast, bound('mass/most', MASS_REACH.up)]);
  const flat = graph.node('mass/flat', 'Reshape', [mass, graph.integers('flat', [-1])]);
  graph.output(graph.node('mass/log', 'Log', [flat], { as: MATCH_IO.matchedLogMass }), 'float', ['M']);

  // P is these rows by `toShare`, which what is made of them is multiplied by instead, being smaller.
  const massive = graph.node('massive', 'Mul', [weighed, mass]);
  const sums = graph.node('massive/sums', 'MatMul', [weighed, column('massive', mass)]);
  const toShare = graph.node('to_share', 'Div', [share, graph.node('massive/above_0', 'Max', [sums, tiny])]);
  const got = graph.node('got', 'Mul', [graph.node('got/rows', 'MatMul', [massive, values]), toShare]);
  const missing = graph.node('missing', 'Sub', [output, got]);
  const gram = graph.node('gram', 'Mul', [
    product(graph, 'gram/rows', massive, massive, { transB: 1 }),
    product(graph, 'gram/factors', toShare, toShare, { transB: 1 }),
  ]);
  const change = graph.node('change', 'Mul', [solveRidge(graph, gram, missing), toShare]);
  const moved = product(graph, 'moved', massive, change, { transA: 1 });
  graph.output(graph.node('add', 'Add', [values, moved], { as: MATCH_IO.matchedValues }), 'float', ['M', headSize]);
  return graph.encode();
}

/** x `[n, D]` of (P P' + r) x = b, P P' `[n, n]`, by conjugate residuals, which never move away from b. */
function solveRidge(graph: GraphBuilder, gram: Value, b: Value): Value {
  const tiny = graph.float('tiny_square', 1e-30);
  const identity = graph.node('identity', 'EyeLike', [gram]);
  const squares = graph.node('squares', 'ReduceSum', [graph.node('diagonal', 'Mul', [gram, identity])], {
    attributes: { keepdims: 0 },
  });
  const size = graph.node('size', 'Shape', [gram], { attributes: { start: 0, end: 1 } });
  const count = graph.node('count', 'Cast', [size], { attributes: { to: ELEMENT.float } });
  const mean = graph.node('mean_square', 'Div', [squares, count]);
  const ridge = graph.node('ridge', 'Mul', [mean, graph.float('relative_ridge', RIDGE)]);
  const matrix = graph.node('matrix', 'Add', [gram, graph.node('added', 'Mul', [identity, ridge])]);
  const axis = graph.integers('rows_axis', [0]);
  const times = (name: string, x: Value) => graph.node(name, 'MatMul', [matrix, x]);
  const dot = (name: string, x: Value, y: Value) =>
    graph.node(name, 'ReduceSum', [graph.node(`${name}/products`, 'Mul', [x, y]), axis], {
      attributes: { keepdims: 1 },
    });
  const square = (name: string, x: Value) =>
    graph.node(name, 'ReduceSumSquare', [x, axis], { attributes: { keepdims: 1 } });
  const above0 = (name: string, x: Value) => graph.node(`${name}/above_0`, 'Max', [x, tiny]);
  const plus = (name: string, x: Value, factor: Value, y: Value, operator: 'Add' | 'Sub' = 'Add') =>
    graph.node(name, operator, [x, graph.node(`${name}/step`, 'Mul', [factor, y])]);

  let x: Value | undefined;
  let residual = b;
  let direction = b;
  let applied = times('applied', b);
  let appliedDirection = applied;
  let energy = dot('energy', residual, applied);
  for (let step = 0; step < VALUE_STEPS; step++) {
    const at = `value.${step}`;
    const length = above0(`${at}/length`, square(`${at}/length`, appliedDirection));
    const factor = graph.node(`${at}/factor`, 'Div', [energy, length]);
    x = x === undefined ? graph.node(`${at}/x`, 'Mul', [factor, direction]) : plus(`${at}/x`, x, factor, direction);
    if (step + 1 === VALUE_STEPS) break;
    residual = plus(`${at}/residual`, residual, factor, appliedDirection, 'Sub');
    applied = times(`${at}/applied`, residual);
    const next = dot(`${at}/energy`, residual, applied);
    const turn = graph.node(`${at}/turn`, 'Div', [next, above0(`${at}/energy`, energy)]);
    energy = next;
    direction = plus(`${at}/direction`, residual, turn, direction);
    appliedDirection = plus(`${at}/applied_direction`, applied, turn, appliedDirection);
  }
  return x as Value;
}

function product(
  graph: GraphBuilder,
  name: string,
  a: Value,
  b: Value,
  attributes: { readonly transA?: number; readonly transB?: number; readonly alpha?: { readonly float: number } },
): Value {
  return graph.node(name, 'FusedMatMul', [a, b], { domain: 'com.microsoft', attributes });
}
