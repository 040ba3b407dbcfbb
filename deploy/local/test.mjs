// `npm test`: set-up, then every test; further arguments go to vitest. Results also in out/test-results.json.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './paths.mjs';
import { prepare } from './prepare.mjs';
import { exitWith } from './setup-error.mjs';

async function main() {
  const report = join(root, 'out/test-results.json');
  rmSync(report, { force: true });
  const { redis } = await prepare({ ownServers: true });
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  // Tests start servers of their own, so none may reach a Redis or a data directory that is in use.
  const { REDIS_URL, LONGHAUL_DATA_DIR, ...env } = process.env;
  const child = spawn(process.execPath, [vitest, 'run', ...reporters, ...process.argv.slice(2)], {
    cwd: root,
    env: { ...env, LONGHAUL_REDIS_SERVER: redis },
    stdio: 'inherit',
  });
  process.on('SIGINT', () => {}); // vitest gets it too and ends
  const [code] = await once(child, 'exit');
  process.exit(code ?? 1);
}

main().catch(exitWith);
