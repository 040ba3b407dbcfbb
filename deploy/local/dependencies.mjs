// node_modules as package-lock.json says: current, or installed with `npm ci`.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { head, runCommand } from './command.mjs';
import { SetupError } from './setup-error.mjs';
import { step } from './terminal.mjs';

/** Installs what package-lock.json lists, unless exactly that is there. */
export async function installDependencies(root) {
  if (areCurrent(root)) return step('dependencies', 'up to date');
  step('dependencies', 'installing (npm ci) ...');
  // The npm that runs us, if one does: another one in PATH may be older.
  const npm = process.env.npm_execpath?.endsWith('npm-cli.js') ? [process.execPath, process.env.npm_execpath] : ['npm'];
  const [program, ...first] = npm;
  const { code, output } = await runCommand(program, [...first, 'ci', '--include=dev', '--loglevel=error'], {
    cwd: root,
    // Without it onnxruntime-node downloads CUDA libraries; .npmrc says it too, but npm 12 drops keys it does not know.
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' },
  });
  if (code !== 0) throw new SetupError(`npm ci failed with exit code ${code}:\n${head(output, 20)}`);
  step('dependencies', 'installed');
}

/** Whether every package of package-lock.json is installed at its version; npm writes the hidden lockfile last. */
function areCurrent(root) {
  const wanted = readPackages(join(root, 'package-lock.json'));
  if (!wanted) throw new SetupError(`package-lock.json is missing or not JSON in ${root}: check the file out again.`);
  const installed = readPackages(join(root, 'node_modules/.package-lock.json'));
  if (!installed) return false;
  return Object.entries(wanted).every(([path, { version, optional, link }]) => {
    const found = installed[path]?.version;
    return path === '' || link || found === version || (optional && found === undefined);
  });
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages;
  } catch {
    return undefined;
  }
}
