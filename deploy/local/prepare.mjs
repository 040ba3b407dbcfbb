// Everything that the commands need, each step done only if it is not done yet.
import { join } from 'node:path';
import { build } from './build.mjs';
import { installDependencies } from './dependencies.mjs';
import { checkModel } from './model.mjs';
import { claim, release } from './ownership.mjs';
import { dataDir, defaultModel, modelFile, root } from './paths.mjs';
import { redisBinary } from './redis-binary.mjs';
import { redisInfo, withoutPassword } from './redis-ping.mjs';
import { SetupError } from './setup-error.mjs';
import { step, warn } from './terminal.mjs';

const oldestNode = [20, 19];

/**
 * Dependencies, build, Redis and model. With REDIS_URL that Redis must answer; without, a redis-server program is found
 * or installed.
 * @param {{ownServers?: boolean}} options `ownServers`: a redis-server program is needed whatever REDIS_URL says (tests)
 * @returns {Promise<{redis?: string}>} path of the redis-server program, where one is needed
 */
export async function prepare({ ownServers = false } = {}) {
  checkNode();
  const lock = join(dataDir, 'setup.lock');
  await takeTurn(lock);
  try {
    await installDependencies(root);
    await build(root);
    const given = process.env.REDIS_URL;
    if (given && !ownServers) await checkGivenRedis(given);
    const redis = given && !ownServers ? undefined : await redisBinary(dataDir);
    await checkModel(modelFile, modelFile === defaultModel, dataDir);
    return { redis };
  } finally {
    release(lock);
  }
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < oldestNode[0] || (major === oldestNode[0] && minor < oldestNode[1])) {
    throw new SetupError(
      `Node.js >= ${oldestNode.join('.')} is needed, found ${process.versions.node} (${process.execPath}).`,
    );
  }
  if (process.platform === 'win32') throw new SetupError('Windows is not supported: use WSL, Linux or macOS.');
}

/** Two set-ups at once would both write node_modules and dist: the second waits for the first. */
async function takeTurn(lock) {
  for (let said = false; ; said = true) {
    const other = claim(lock);
    if (!other) return;
    if (!said) step('set-up', `waiting for another one (process ${other.pid}) ...`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

async function checkGivenRedis(url) {
  let info;
  try {
    info = await redisInfo(url);
  } catch (error) {
    throw new SetupError(`${error.message}\nStart it, correct REDIS_URL, or unset REDIS_URL to have one started here.`);
  }
  step('redis', `${info.redis_version} at ${withoutPassword(url)} (REDIS_URL)`);
  if (info.maxmemory_policy && info.maxmemory_policy !== 'noeviction') {
    warn(`this Redis may throw jobs away: maxmemory-policy is ${info.maxmemory_policy}, should be noeviction`);
  }
  if (info.aof_enabled === '0') warn('this Redis may lose jobs when it restarts: appendonly is no, should be yes');
}
