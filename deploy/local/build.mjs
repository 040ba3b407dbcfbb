// dist/ as the sources say: current, or built with one `nest build` of all apps, benches and examples.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand, tail } from './command.mjs';
import { SetupError } from './setup-error.mjs';
import { step } from './terminal.mjs';

/** Compiles apps and libs into dist/, unless dist/ was built from these very sources. */
export async function build(root) {
  const stamp = join(root, 'dist/.sources.sha256');
  const sources = hashSources(root);
  if (read(stamp) === sources) return step('build', 'up to date');
  step('build', 'compiling (nest build) ...');
  rmSync(stamp, { force: true }); // an interrupted build must not look complete
  const nest = join(root, 'node_modules/@nestjs/cli/bin/nest.js');
  const args = [nest, 'build', 'api', '--path', 'tsconfig.build.json'];
  const { code, output } = await runCommand(process.execPath, args, { cwd: root });
  if (code !== 0) throw new SetupError(`The build failed with exit code ${code}:\n${tail(output, 40)}`);
  mkdirSync(join(root, 'dist'), { recursive: true });
  writeFileSync(stamp, sources);
  step('build', 'done');
}

/** SHA-256 over the names and contents of everything that decides what the compiler writes. */
function hashSources(root) {
  const hash = createHash('sha256');
  const files = ['package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'nest-cli.json'];
  for (const folder of ['apps', 'libs', 'bench', 'examples']) {
    for (const name of readdirSync(join(root, folder), { recursive: true })) {
      if (name.endsWith('.ts') && !name.endsWith('.spec.ts')) files.push(join(folder, name));
    }
  }
  for (const file of files.sort())
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(root, file)))
      .update('\0');
  return hash.digest('hex');
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
