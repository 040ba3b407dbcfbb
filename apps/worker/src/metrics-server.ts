import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ConfigError } from '@app/config';
import type { EngineMetrics } from '@app/telemetry';

/**
 * Serves `GET /metrics` to Prometheus, nothing else. Resolves when it listens.
 * @param port 0: any free one
 * @throws ConfigError where it cannot listen there
 */
export async function serveMetrics(metrics: EngineMetrics, host: string, port: number): Promise<MetricsServer> {
  const server = createServer(async (request, response) => {
    if (request.method !== 'GET' || request.url?.split('?')[0] !== '/metrics') {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('GET /metrics is all there is here.\n');
      return;
    }
    response.writeHead(200, { 'content-type': metrics.contentType }).end(await metrics.text());
  });
  server.listen(port, host);
  await once(server, 'listening').catch(({ code }: NodeJS.ErrnoException) => {
    const expected = `a port free at ${host}`;
    throw new ConfigError([{ variable: 'LONGHAUL_METRICS_PORT', expected, found: `${port} (${code})` }]);
  });
  return new MetricsServer(server);
}

export class MetricsServer {
  constructor(private readonly server: Server) {}

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.server.close();
    this.server.closeAllConnections();
  }
}
