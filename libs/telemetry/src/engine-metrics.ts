import { Counter, Gauge, Registry } from 'prom-client';

/** Every metric of a worker's engine, by its Prometheus name. The only owner of these names. */
export class EngineMetrics {
  private readonly registry = new Registry();
  /** Content type of `text()`. */
  readonly contentType = this.registry.contentType;

  readonly caches = this.gauge('longhaul_kv_caches', 'Compressed caches held.');
  readonly heldBytes = this.gauge('longhaul_kv_cache_held_bytes', 'Bytes of keys, values and masses held.');
  readonly fullBytes = this.gauge(
    'longhaul_kv_cache_full_bytes',
    'Bytes that the same caches would hold uncompressed.',
  );
  readonly prefixTokens = this.counter('longhaul_prefix_tokens_total', 'Tokens of documents read.');
  readonly prefillSeconds = this.counter(
    'longhaul_prefill_seconds_total',
    'Time from the first chunk of a document to its last.',
  );
  readonly compressSeconds = this.counter('longhaul_compress_seconds_total', 'Time spent compressing caches.');
  readonly items = this.counter('longhaul_items_answered_total', 'Items answered.');
  readonly answerTokens = this.counter('longhaul_answer_tokens_total', 'Tokens of answers.');

  /** All of them in the text format of Prometheus. */
  text(): Promise<string> {
    return this.registry.metrics();
  }

  private gauge(name: string, help: string): Gauge {
    return new Gauge({ name, help, registers: [this.registry] });
  }

  private counter(name: string, help: string): Counter {
    return new Counter({ name, help, registers: [this.registry] });
  }
}
