/** From values to places on an axis. */
export interface Axis {
  /** 0 at the axis's beginning, 1 at its end; values outside are moved to the nearer one. */
  position(value: number): number;
  readonly ticks: readonly { readonly value: number; readonly label: string }[];
}

/** From 0 to a round number at or above `largest`, with at most seven ticks. */
export function linearAxis(largest: number): Axis {
  const rough = largest / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * (1 - 1e-9))!;
  const count = Math.ceil((largest / step) * (1 - 1e-9));
  const end = count * step;
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  return {
    position: (value) => Math.min(1, Math.max(0, value / end)),
    ticks: Array.from({ length: count + 1 }, (_, i) => ({ value: i * step, label: (i * step).toFixed(digits) })),
  };
}

/** Nothing smaller is told apart: less is rounding of float32. */
const LEAST = 1e-6;

/** Logarithmic, whole powers of ten around the positive ones of `values`, a tick at each power. */
export function logAxis(values: readonly number[]): Axis {
  const positive = values.filter((value) => value >= LEAST);
  const first = positive.length === 0 ? -3 : Math.floor(Math.log10(Math.min(...positive)));
  const last = positive.length === 0 ? 0 : Math.max(first + 1, Math.ceil(Math.log10(Math.max(...positive))));
  return {
    position: (value) => {
      const at = (Math.log10(Math.max(value, LEAST)) - first) / (last - first);
      return Math.min(1, Math.max(0, at));
    },
    ticks: Array.from({ length: last - first + 1 }, (_, i) => {
      const power = first + i;
      return { value: 10 ** power, label: power < 0 ? (10 ** power).toFixed(-power) : String(10 ** power) };
    }),
  };
}
