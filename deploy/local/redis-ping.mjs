// Asks a Redis what it is, over RESP, without a client library.
import net from 'node:net';
import tls from 'node:tls';
import { SetupError } from './setup-error.mjs';

/**
 * Sends INFO to a Redis and returns its fields, such as `process_id`, `aof_enabled`, `maxmemory_policy`.
 * @param {string} url redis:// or rediss://, with user, password and database as usual
 * @param {number} timeout milliseconds for everything together
 * @throws SetupError with the reason if there is no answer in time or the answer is an error.
 */
export async function redisInfo(url, timeout = 5000) {
  const { protocol, hostname, port, username, password } = parse(url);
  const commands = [['INFO']];
  if (password) commands.unshift(username ? ['AUTH', username, password] : ['AUTH', password]);
  const host = hostname.replace(/^\[|\]$/g, '') || '127.0.0.1';
  const target = { host, port: Number(port || 6379), servername: net.isIP(host) ? undefined : host };
  const socket = protocol === 'rediss:' ? tls.connect(target) : net.connect(target);
  try {
    const info = await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer within ${timeout / 1000} s`)), timeout);
      timer.unref();
      let received = Buffer.alloc(0);
      socket.on('error', reject);
      socket.on('close', () => reject(new Error('the connection was closed')));
      socket.on('data', (chunk) => {
        received = Buffer.concat([received, chunk]);
        const answer = readInfo(received, commands.length);
        if (answer instanceof Error) reject(answer);
        else if (answer !== undefined) resolve(answer);
      });
      for (const words of commands) socket.write(encode(words));
    });
    return Object.fromEntries(info.split('\r\n').flatMap((line) => (/^\w+:/.test(line) ? [split(line)] : [])));
  } catch (error) {
    throw new SetupError(`No Redis at ${withoutPassword(url)}: ${error.message || error.code}`);
  } finally {
    socket.destroy();
  }
}

/** As libs/config has it, which is not compiled yet when this runs: protocol, host and port, or '***'. */
export function withoutPassword(url) {
  const { protocol, host } = URL.canParse(url) ? new URL(url) : { protocol: '', host: '' };
  return host === '' ? '***' : `${protocol}//${host}`;
}

/** Whether a Redis client could make something of an address. */
export function isRedisAddress(url) {
  if (!URL.canParse(url)) return false;
  const { protocol, host, username, password } = new URL(url);
  try {
    decodeURIComponent(username + password); // throws where a % encodes nothing
  } catch {
    return false;
  }
  return ['redis:', 'rediss:'].includes(protocol) && host !== '';
}

function parse(url) {
  if (isRedisAddress(url)) {
    const { protocol, hostname, port, username, password } = new URL(url);
    return { protocol, hostname, port, username: decodeURIComponent(username), password: decodeURIComponent(password) };
  }
  const expected = 'redis://host:port or rediss://user:password@host:port, the password percent-encoded';
  throw new SetupError(`REDIS_URL: expected ${expected}, found ${withoutPassword(url)}`);
}

const split = (line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)];

const encode = (words) =>
  `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;

/** The bulk string that ends `count` replies, the ones before being `+OK`; undefined while it is not all there. */
function readInfo(bytes, count) {
  let at = 0;
  for (let reply = 0; reply < count; reply++) {
    const end = bytes.indexOf('\r\n', at);
    if (end < 0) return undefined;
    const line = bytes.toString('utf8', at, end);
    at = end + 2;
    if (line.startsWith('-')) return new Error(line.slice(1));
    if (!line.startsWith('$')) continue;
    const size = Number(line.slice(1));
    return bytes.length >= at + size ? bytes.toString('utf8', at, at + size) : undefined;
  }
  return new Error('expected the answer to INFO, found another: is it a Redis?');
}
