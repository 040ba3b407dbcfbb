// How steps, warnings and progress are printed: colours and live lines on a terminal, plain lines in a log.

const live = process.stdout.isTTY === true;
const colour = live && !process.env.NO_COLOR;
const paint = (code) => (text) => (colour ? `\x1b[${code}m${text}\x1b[0m` : text);

export const bold = paint('1');
export const dim = paint('2');
export const yellow = paint('33');

/** Columns to print in. */
export const width = () => Math.max(40, process.stdout.columns ?? 100);

/** One line of what is being done: `redis         started on 127.0.0.1:41223`. */
export function step(name, text) {
  process.stdout.write(`${bold(name.padEnd(13))} ${text}\n`);
}

/** A line that must be seen. */
export function warn(text) {
  process.stderr.write(`${yellow('warning')}       ${text}\n`);
}

/** `02:07` */
export function clock(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  return `${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(seconds % 60).padStart(2, '0')}`;
}

/**
 * A progress bar: redrawn in place on a terminal; elsewhere one line whenever the count has changed.
 * Returns `{update(done, total, note), end()}`.
 */
export function progressBar(name) {
  const began = Date.now();
  let last;
  return {
    update(done, total, note) {
      const elapsed = clock(Date.now() - began);
      if (!live) {
        const line = `${done}/${total} ${note}`;
        if (line !== last) step(name, `${line}  ${elapsed}`);
        last = line;
        return;
      }
      const cells = 30;
      const full = total > 0 ? Math.round((cells * done) / total) : 0;
      const bar = `${'█'.repeat(full)}${'░'.repeat(cells - full)}`;
      process.stdout.write(`\r\x1b[K${bold(name.padEnd(13))} ${bar} ${done}/${total} ${note}  ${elapsed}`);
      last = elapsed;
    },
    end() {
      if (live && last !== undefined) process.stdout.write('\n');
      last = undefined;
    },
  };
}
