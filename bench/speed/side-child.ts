import type { Side, SideSettings } from './side.js';
import type { SideCall, SideReply } from './side-process.js';

/** Entry of a side's process: `side-child.js longhaul|peer SETTINGS`. Executes calls one after another. */
const [name, text] = process.argv.slice(2);
const settings = JSON.parse(text as string) as SideSettings;

async function open(): Promise<Side<unknown>> {
  if (name === 'longhaul') return new (await import('./longhaul-side.js')).LonghaulSide(settings) as Side<unknown>;
  return new (await import('./peer-side.js')).PeerSide(settings) as Side<unknown>;
}

const side = await open();
let last: Promise<void> = Promise.resolve();
process.on('message', ({ id, method, args }: SideCall) => {
  last = last.then(async () => {
    const reply = await (side[method] as (...args: unknown[]) => Promise<unknown>).apply(side, args).then(
      (result): SideReply => ({ id, result }),
      (error: Error): SideReply => ({ id, error: error.message }),
    );
    process.send?.(reply);
  });
});
// the bench is gone, or has no more calls
process.on('disconnect', () => process.exit());
