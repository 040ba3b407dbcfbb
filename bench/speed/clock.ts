/**
 * `wall`: what a user waits for. `cpu`: seconds that the threads of the process worked, all of them added up: comparable
 * between sides with one thread each even while other processes take the cores, since waiting does not count.
 */
export type ClockName = 'wall' | 'cpu';

/** Seconds since some moment. */
export type Clock = () => number;

const CLOCKS: Record<ClockName, Clock> = {
  wall: () => performance.now() / 1000,
  cpu: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  },
};

export const clockOf = (name: ClockName): Clock => CLOCKS[name];

/** What a process has used. */
export interface Usage {
  /** Largest resident set. */
  readonly peakBytes: number;
  readonly cpuSeconds: number;
}

/** What this process has used since it began. */
export const processUsage = (): Usage => ({
  peakBytes: process.resourceUsage().maxRSS * 1024,
  cpuSeconds: CLOCKS.cpu(),
});
