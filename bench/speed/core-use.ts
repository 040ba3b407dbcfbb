import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** Clock ticks a second of /proc; the same on every Linux that Node runs on. */
const TICKS = 100;

/** Seconds that all cores together have worked, and that some processes of them have. */
interface CoreSeconds {
  readonly busy: number;
  readonly own: number;
}

/** Tells how much of the machine other processes took during a measurement (Linux; elsewhere NaN). */
export class CoreUse {
  private readonly startedAt = performance.now();
  private readonly before: CoreSeconds | undefined;

  /** @param own processes that belong to the bench */
  constructor(private readonly own: readonly number[]) {
    this.before = read(own);
  }

  /** Share of all cores that others used since construction, 0 to 1. */
  others(): number {
    const now = read(this.own);
    if (now === undefined || this.before === undefined) return Number.NaN;
    const seconds = ((performance.now() - this.startedAt) / 1000) * availableParallelism();
    return Math.min(1, Math.max(0, (now.busy - this.before.busy - (now.own - this.before.own)) / seconds));
  }
}

function read(own: readonly number[]): CoreSeconds | undefined {
  try {
    return {
      busy: busySeconds(readFileSync('/proc/stat', 'utf8')),
      own: own.reduce((sum, pid) => sum + processSeconds(readProcess(pid)), 0),
    };
  } catch {
    return undefined;
  }
}

/** Empty for a process that has ended: its time is its parent's then. */
function readProcess(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return '';
  }
}

/** Of the first line of /proc/stat: everything but idle and iowait, time stolen by other guests included. */
export function busySeconds(stat: string): number {
  const [user, nice, system, , , irq, softirq, steal] = stat.split('\n')[0]!.trim().split(/\s+/).slice(1).map(Number);
  return (user! + nice! + system! + irq! + softirq! + steal!) / TICKS;
}

/**
 * User and system time of /proc/PID/stat, of all threads and of children that have ended; fields are counted behind the
 * name, which may hold spaces.
 */
export function processSeconds(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0) / TICKS;
}
