// Preloaded into a worker (`--import`): it signals itself as soon as it has said often enough that it answered an item.
// Another process, however soon it reads that, may be too late: the others may be answered by then.
import { isMainThread } from 'node:worker_threads';

const [signal, count] = process.env.SIGNAL_ITSELF.split(' ');

if (isMainThread) {
  let left = Number(count);
  const write = process.stdout.write.bind(process.stdout);
  process.stdout.write = (text, ...more) => {
    const isTaken = write(text, ...more);
    if (String(text).includes('answered batch=') && --left === 0) process.kill(process.pid, signal);
    return isTaken;
  };
}
