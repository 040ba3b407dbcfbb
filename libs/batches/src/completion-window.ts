const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 24 * 3600 };
/** As long as results are kept by default. */
const MAX_SECONDS = 30 * 24 * 3600;

/**
 * Seconds of a batch's `completion_window`: OpenAI's `24h`, or any other whole number of seconds, minutes, hours or days
 * up to 30 days; undefined where it is none.
 */
export function completionSeconds(window: unknown): number | undefined {
  const [, count, unit] = typeof window === 'string' ? (/^([1-9]\d{0,6})([smhd])$/.exec(window) ?? []) : [];
  const seconds = Number(count) * (SECONDS[unit ?? ''] ?? Number.NaN);
  return seconds <= MAX_SECONDS ? seconds : undefined;
}
