// Ctrl-C, kill, closed terminal: the first asks to stop, a second one to stop at once.

/** npm passes on a Ctrl-C that the terminal has sent us already: two within this time (ms) are one. */
const same = 500;

/** @returns two abort signals: `stop` after the first interruption, `now` after the second. */
export function onInterrupt() {
  const stop = new AbortController();
  const now = new AbortController();
  let first;
  // Ctrl-C ends `tee` in `npm start | tee log` before us: nobody reads what we still print.
  process.stdout.on('error', () => {});
  process.stderr.on('error', () => {});
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(name, () => {
      first ??= Date.now();
      if (!stop.signal.aborted) stop.abort();
      else if (Date.now() - first > same) now.abort();
    });
  }
  return { stop: stop.signal, now: now.signal };
}
