/**
 * Protocol, host and port of an address, fit for logs: whatever else it holds may be a password, also in its query.
 * Returns '***' for what is no address with a host.
 */
export function withoutPassword(url: string): string {
  const { protocol, host } = URL.canParse(url) ? new URL(url) : { protocol: '', host: '' };
  return host === '' ? '***' : `${protocol}//${host}`;
}
