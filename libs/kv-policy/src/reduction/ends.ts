/** Entries at the two ends of a head that a reduction leaves alone. */
export interface Ends {
  /** First entries: the attention sinks. */
  readonly sinks: number;
  /** Most recent entries. */
  readonly recent: number;
}

/** The ends to leave alone where `entries` may be kept whole: together at most that many. */
export type EndsOf = (entries: number) => Ends;

/** So many at either end; where that is too many, at most half of the room for the sinks. */
export function fixedEnds(sinks: number, recent: number): EndsOf {
  return (entries) => {
    const first = Math.min(sinks, Math.floor(entries / 2));
    return { sinks: first, recent: Math.min(recent, entries - first) };
  };
}
