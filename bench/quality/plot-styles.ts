/** Shapes beside colours, so that lines can be told apart without seeing colours. */
type Marker = 'circle' | 'square' | 'triangle' | 'diamond' | 'pentagon';

/** How one line of a plot looks. */
export interface PlotStyle {
  readonly colour: string;
  readonly marker: Marker;
  /** Drawn thick: the policy that the plot is about. */
  readonly heavy: boolean;
}

/** A policy looks the same in every plot. Calibrated policies are circles, merging ones squares, evicting ones the rest. */
const STYLES: Readonly<Record<string, readonly [colour: string, marker: Marker]>> = {
  'calibrated-merge': ['#c1272d', 'circle'],
  'calibrated-evict': ['#e07b00', 'circle'],
  'duo-attention': ['#7b3294', 'circle'],
  kvmerger: ['#0000a7', 'square'],
  d2o: ['#4a90d9', 'square'],
  cam: ['#008176', 'square'],
  h2o: ['#5b8c00', 'triangle'],
  snapkv: ['#8c564b', 'triangle'],
  tova: ['#d6a400', 'diamond'],
  pyramidkv: ['#e377a2', 'diamond'],
  'streaming-llm': ['#808080', 'pentagon'],
};
const HEAVY = 'calibrated-merge';
const OTHERS: readonly Marker[] = ['diamond', 'pentagon', 'triangle', 'square', 'circle'];

/** How `policy` is drawn; one without a style of its own gets one by its place among the lines. */
export function styleOf(policy: string, index: number): PlotStyle {
  const own = Object.hasOwn(STYLES, policy) ? STYLES[policy] : undefined;
  const [colour, marker] = own ?? [`hsl(${(index * 137) % 360} 60% 35%)`, OTHERS[index % OTHERS.length]!];
  return { colour, marker, heavy: policy === HEAVY };
}

const PATHS: Readonly<Record<Marker, string>> = {
  circle: 'M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z',
  square: 'M-4-4h8v8h-8z',
  triangle: 'M0-5.2L4.9 3.8H-4.9z',
  diamond: 'M0-5.6L5 0L0 5.6L-5 0z',
  pentagon: 'M0-5.2L5-1.6L3.1 4.3H-3.1L-5-1.6z',
};

/** SVG path of a marker around the origin. */
export const markerPath = (marker: Marker): string => PATHS[marker];
