// The redis-server program: found, or installed without asking for a password.
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { runCommand, tail } from './command.mjs';
import { SetupError } from './setup-error.mjs';
import { step } from './terminal.mjs';

/** BullMQ recommends it. */
const oldestRedis = [6, 2];

/**
 * Path of a redis-server (or valkey-server) that runs and is new enough; installs one where it can.
 * @throws SetupError with what was tried and the ways out.
 */
export async function redisBinary(dataDir) {
  const unpacked = join(dataDir, 'redis-bin/redis-server');
  const tried = [];
  const found = await firstUsable([...inPath('redis-server'), ...inPath('valkey-server'), unpacked], tried);
  if (found) {
    step('redis', `${found.version} (${found.path})`);
    return found.path;
  }
  for (const { name, install } of await waysToInstall(dataDir)) {
    step('redis', `not installed: installing (${name}) ...`);
    const { code, output } = await install();
    const installed = await firstUsable([...inPath('redis-server'), unpacked, ...brewPaths], []);
    if (installed) {
      step('redis', `installed ${installed.version} (${installed.path})`);
      return installed.path;
    }
    tried.push(`${name}: exit code ${code}\n${tail(output, 6)}`);
  }
  throw new SetupError(
    `${[
      `Redis is needed (>= ${oldestRedis.join('.')}), is not installed and could not be installed here.`,
      ...tried.map((line) => `  tried ${line}`),
      'Do one of these:',
      '  - install it:  apt-get install redis-server   or   brew install redis',
      '  - use one that runs elsewhere (noeviction, AOF on):  REDIS_URL=redis://host:6379 npm start',
      '  - docker run -d -p 127.0.0.1:6379:6379 redis:7 --appendonly yes --maxmemory-policy noeviction',
      '    and then REDIS_URL=redis://127.0.0.1:6379 npm start',
    ].join('\n')}`,
  );
}

const brewPaths = ['/opt/homebrew/bin/redis-server', '/usr/local/bin/redis-server'];

const inPath = (program) =>
  (process.env.PATH ?? '').split(delimiter).flatMap((folder) => (folder ? [join(folder, program)] : []));

async function firstUsable(paths, tried) {
  for (const path of paths.filter(existsSync)) {
    const { code, output } = await runCommand(path, ['--version']);
    const version = /v=(\d+)\.(\d+)[.\d]*/.exec(output);
    const newEnough = version && [Number(version[1]) - oldestRedis[0], Number(version[2]) - oldestRedis[1]];
    if (newEnough && (newEnough[0] > 0 || (newEnough[0] === 0 && newEnough[1] >= 0))) {
      return { path, version: version[0].slice(2) };
    }
    tried.push(
      version ? `${path}: version ${version[0].slice(2)} is too old` : `${path}: exit code ${code}\n${tail(output, 3)}`,
    );
  }
  return undefined;
}

async function waysToInstall(dataDir) {
  if (process.platform === 'darwin') {
    const brew = ['/opt/homebrew/bin/brew', '/usr/local/bin/brew', ...inPath('brew')].find(existsSync);
    return brew ? [{ name: 'brew install redis', install: () => runCommand(brew, ['install', 'redis']) }] : [];
  }
  if (!inPath('apt-get').some(existsSync) || !inPath('dpkg-deb').some(existsSync)) return [];
  const ways = [{ name: 'package unpacked under LONGHAUL_DATA_DIR', install: () => unpackPackages(dataDir) }];
  const sudo = process.getuid() === 0 ? [] : ['sudo', '-n'];
  if (sudo.length === 0 || (await runCommand('sudo', ['-n', 'true'])).code === 0) {
    ways.unshift({
      name: [...sudo, 'apt-get install redis-server'].join(' '),
      install: () => runCommand(sudo[0] ?? 'sh', [...sudo.slice(1), ...(sudo[0] ? ['sh'] : []), '-c', systemInstall]),
    });
  }
  return ways;
}

// policy-rc.d keeps the package from starting a system-wide Redis: Longhaul starts its own when it needs one.
const systemInstall = `
  export DEBIAN_FRONTEND=noninteractive
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    trap 'exit 1' INT TERM
    printf '#!/bin/sh\\nexit 101\\n' >$policy
    chmod 755 $policy
  fi
  install() { apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=120 redis-server; }
  install || { apt-get update -q && install; }`;

// As any user: apt-get with its own private state resolves and downloads, dpkg-deb unpacks, nothing is installed.
async function unpackPackages(dataDir) {
  const folder = join(dataDir, 'redis-bin');
  const next = `${folder}.next`;
  rmSync(next, { recursive: true, force: true });
  const archives = join(next, 'cache/archives');
  for (const name of ['state/lists/partial', 'cache/archives/partial'])
    mkdirSync(join(next, name), { recursive: true });
  const options = {
    'Dir::State': join(next, 'state'),
    'Dir::State::Lists': join(next, 'state/lists'),
    'Dir::State::Status': '/var/lib/dpkg/status', // what this machine already has need not be downloaded
    'Dir::Cache': join(next, 'cache'),
    'Debug::NoLocking': '1',
    'APT::Sandbox::User': '', // as root apt would download as a user who may not write here
  };
  const apt = ['-q', '-y', ...Object.entries(options).flatMap(([key, value]) => ['-o', `${key}=${value}`])];
  const here = { cwd: archives };
  const steps = [
    () => runCommand('apt-get', [...apt, 'update'], here),
    () =>
      runCommand('apt-get', [...apt, 'install', '--download-only', '--no-install-recommends', 'redis-server'], here),
    // The program is in redis-tools, a link to it in redis-server: both, even if this machine has one of them.
    () => runCommand('apt-get', [...apt, 'download', 'redis-server', 'redis-tools'], here),
    () => unpackAll(archives, join(next, 'root')),
  ];
  for (const run of steps) {
    const result = await run();
    if (result.code !== 0) return result;
  }
  const libraries = ['usr/lib', 'lib'].flatMap((lib) =>
    existsSync(join(next, 'root', lib))
      ? readdirSync(join(next, 'root', lib))
          .filter((name) => name.includes('-linux-'))
          .map((name) => `$here/root/${lib}/${name}`)
      : [],
  );
  const script = `#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
LD_LIBRARY_PATH="${libraries.join(':')}" exec "$here/root/usr/bin/redis-server" "$@"
`;
  writeFileSync(join(next, 'redis-server'), script);
  chmodSync(join(next, 'redis-server'), 0o755);
  for (const name of ['state', 'cache']) rmSync(join(next, name), { recursive: true, force: true });
  rmSync(folder, { recursive: true, force: true });
  renameSync(next, folder);
  return runCommand(join(folder, 'redis-server'), ['--version']);
}

async function unpackAll(archives, target) {
  for (const name of readdirSync(archives).filter((file) => file.endsWith('.deb'))) {
    const result = await runCommand('dpkg-deb', ['-x', join(archives, name), target]);
    if (result.code !== 0) return result;
  }
  return { code: 0, output: '' };
}
