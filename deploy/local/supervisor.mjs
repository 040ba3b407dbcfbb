// Keeps one child process running: started again when it dies, with growing delays, until it is told to stop.
import { once } from 'node:events';

/** EX_CONFIG of sysexits.h: the process cannot run with this configuration or this model, however often it is started. */
const exitConfig = 78;

/**
 * @param {object} options
 * @param {() => import('node:child_process').ChildProcess} options.spawn starts the process
 * @param {(what: string, delay: number) => void} [options.onDeath] the process died (`exit code 1`, `SIGKILL`) and is
 *   started again in `delay` ms
 * @param {() => void} [options.onRefusal] the process ended with exit code 78 and is not started again
 * @param {number} [options.minDelay] ms before the first restart; doubled with every further one
 * @param {number} [options.maxDelay] ms, the longest delay
 * @param {number} [options.stableAfter] ms of running after which the delay is `minDelay` again
 */
export function supervise({ spawn, onDeath, onRefusal, minDelay = 1000, maxDelay = 30_000, stableAfter = 60_000 }) {
  let child;
  let timer;
  let delay = minDelay;
  let stopping = false;

  const start = () => {
    const began = Date.now();
    child = spawn();
    const current = child;
    let ended = false;
    const onEnd = (what, code) => {
      if (ended) return;
      ended = true;
      if (child === current) child = undefined;
      if (stopping) return;
      if (code === exitConfig) {
        onRefusal?.();
        return;
      }
      if (Date.now() - began >= stableAfter) delay = minDelay;
      onDeath?.(what, delay);
      timer = setTimeout(start, delay);
      delay = Math.min(2 * delay, maxDelay);
    };
    current.once('error', (error) => onEnd(error.message)); // it could not be started
    current.once('exit', (code, signal) => onEnd(signal ?? `exit code ${code}`, code));
  };
  start();

  return {
    /** The process' id while it runs. */
    get pid() {
      return child?.pid;
    },
    /**
     * Ends the process: SIGTERM, and SIGKILL where it has not ended after `grace` ms or when `now` is aborted.
     * @returns {Promise<boolean>} whether it ended by itself
     */
    async stop(grace, now) {
      stopping = true;
      clearTimeout(timer);
      const current = child;
      if (current?.pid === undefined) return true;
      const ended = once(current, 'exit');
      let killed = false;
      const kill = () => {
        killed = true;
        current.kill('SIGKILL');
      };
      const limit = setTimeout(kill, grace);
      now?.addEventListener('abort', kill, { once: true });
      if (now?.aborted) kill();
      else current.kill('SIGTERM');
      await ended;
      clearTimeout(limit);
      now?.removeEventListener('abort', kill);
      return !killed;
    },
  };
}
