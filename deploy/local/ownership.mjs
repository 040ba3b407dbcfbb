// Which living process owns a directory: a file with its pid and start time (a pid alone is used again after a reboot).
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** When a process started, as an opaque string; undefined if there is none with this pid. */
export function startOf(pid) {
  try {
    if (process.platform === 'linux') {
      // The fields after the program's name, which is in parentheses and may hold anything: state is 0, start time 19.
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ');
      return fields[0] === 'Z' ? undefined : fields[19];
    }
    return execFileSync('ps', ['-p', String(pid), '-o', 'lstart='], { encoding: 'utf8' }).trim() || undefined;
  } catch {
    return undefined;
  }
}

/** What identifies a process for good: `{pid, start}`. */
export const identity = (pid) => ({ pid, start: startOf(pid) });

/** Whether the process that `identity` described still runs. */
export const isAlive = (owner) => owner?.start !== undefined && startOf(owner.pid) === owner.start;

/** The contents of an owner file; undefined if there is none or it cannot be read. */
export function readOwner(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

/**
 * Makes this process the owner of `file` unless a living process is. A dead owner's file is taken over.
 * @returns the living owner's `{pid, start}`, or undefined when this process owns it now.
 */
export function claim(file) {
  mkdirSync(dirname(file), { recursive: true });
  const mine = `${file}.${process.pid}`;
  writeFileSync(mine, JSON.stringify(identity(process.pid)));
  try {
    for (;;) {
      try {
        linkSync(mine, file); // atomic with its contents, and fails if the file exists
        return undefined;
      } catch (error) {
        if (error.code !== 'EEXIST') throw error;
      }
      const owner = readOwner(file);
      if (isAlive(owner)) return owner;
      rmSync(file, { force: true });
    }
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Gives up a file that this process has claimed. */
export function release(file) {
  if (readOwner(file)?.pid === process.pid) rmSync(file, { force: true });
}
