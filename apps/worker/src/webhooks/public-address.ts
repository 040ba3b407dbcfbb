import { lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/** An address that is not to be sent requests to, since whoever names it may want to reach what only we can. */
export class PrivateAddressError extends Error {
  override readonly name = 'PrivateAddressError';
  constructor(host: string) {
    super(`${host} is at a private address. Set LONGHAUL_WEBHOOK_PRIVATE=true where that is meant.`);
  }
}

/** Special-purpose addresses of the IANA registries that are not globally reachable (RFC 6890), and multicast. */
const PRIVATE = new BlockList();
for (const range of [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
]) {
  const [network, bits] = range.split('/');
  PRIVATE.addSubnet(network as string, Number(bits), 'ipv4');
}
/** Of IPv6 only what is given out for the public internet, less what stands for other addresses (6to4, Teredo, documentation). */
const PUBLIC6 = new BlockList();
PUBLIC6.addSubnet('2000::', 3, 'ipv6');
const STAND_INS6 = new BlockList();
for (const [network, bits] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const) {
  STAND_INS6.addSubnet(network, bits, 'ipv6');
}

/** Whether a numeric address is on the public internet. */
export const isPublicAddress = (address: string): boolean =>
  isIP(address) === 4
    ? !PRIVATE.check(address, 'ipv4')
    : isIP(address) === 6 && PUBLIC6.check(address, 'ipv6') && !STAND_INS6.check(address, 'ipv6');

/**
 * A look-up that gives public addresses only: the connection goes to the very address that was checked, whatever the name
 * means a moment later.
 */
export const lookUpPublic: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, found) => {
    if (error) return callback(error, '');
    const addresses = found.filter(({ address }) => isPublicAddress(address));
    const [first] = addresses;
    if (!first) return callback(new PrivateAddressError(hostname), '');
    if (options.all) callback(null, addresses);
    else callback(null, first.address, first.family);
  });
};
