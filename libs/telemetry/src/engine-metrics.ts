import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, Registry } from 'prom-client';

const SECONDS_PER_NANOSECOND = 1e-9;

/** Every metric of a worker and its engine, by its Prometheus name. The only owner of these names. */
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
  readonly limitBytes = this.gauge('longhaul_kv_document_limit_bytes', 'Bytes that documents may take.');
  private readonly plannedBytes = this.gauge(
    'longhaul_kv_document_planned_bytes',
    'Bytes of documents held, and of those that are read at their peak; never above the limit.',
  );
  private readonly hits = this.counter('longhaul_documents_hit_total', 'Groups whose document was held already.');
  private readonly misses = this.counter('longhaul_documents_missed_total', 'Groups whose document was not held.');
  private readonly restored = this.counter(
    'longhaul_documents_restored_total',
    'Missed documents that were found on disk.',
  );
  private readonly evicted = this.counter(
    'longhaul_documents_evicted_total',
    'Documents let go to make room for others.',
  );
  /** Counts what becomes of documents. */
  readonly documents = {
    hit: () => this.hits.inc(),
    miss: () => this.misses.inc(),
    restored: () => this.restored.inc(),
    evicted: () => this.evicted.inc(),
    planned: (bytes: number) => this.plannedBytes.set(bytes),
  };

  readonly prefixTokens = this.counter('longhaul_prefix_tokens_total', 'Tokens of documents read.');
  readonly prefillSeconds = this.counter(
    'longhaul_prefill_seconds_total',
    'Time from the first chunk of a document to its last.',
  );
  readonly compressSeconds = this.counter('longhaul_compress_seconds_total', 'Time spent compressing caches.');
  readonly items = this.counter('longhaul_items_answered_total', 'Items answered.');
  readonly answerTokens = this.counter('longhaul_answer_tokens_total', 'Tokens of answers.');

  private readonly lostLocks = this.counter(
    'longhaul_job_locks_lost_total',
    'Jobs that ran on here after their lock had run out, so that another worker may have taken them.',
  );
  private readonly missedRenewals = this.counter(
    'longhaul_job_lock_renewals_missed_total',
    'Times that locks could not be renewed because Redis did not answer.',
  );
  /** Counts what goes wrong with the locks of jobs. */
  readonly locks = {
    lost: () => this.lostLocks.inc(),
    renewalMissed: () => this.missedRenewals.inc(),
  };

  private readonly eventLoop = this.watchEventLoop();

  constructor() {
    new Gauge({
      name: 'process_resident_memory_bytes',
      help: 'Resident memory size in bytes.',
      registers: [this.registry],
      collect() {
        this.set(process.memoryUsage.rss());
      },
    });
  }

  /** All of them in the text format of Prometheus. */
  text(): Promise<string> {
    return this.registry.metrics();
  }

  /** Ends the watch of the event loop. */
  close(): void {
    this.eventLoop.disable();
  }

  private watchEventLoop(): IntervalHistogram {
    const delay = monitorEventLoopDelay();
    delay.enable();
    const help = "99th percentile of the delay of the worker's event loop since it was last asked for.";
    new Gauge({
      name: 'longhaul_event_loop_delay_p99_seconds',
      help,
      registers: [this.registry],
      collect() {
        this.set(delay.percentile(99) * SECONDS_PER_NANOSECOND);
        delay.reset();
      },
    });
    return delay;
  }

  private gauge(name: string, help: string): Gauge {
    return new Gauge({ name, help, registers: [this.registry] });
  }

  private counter(name: string, help: string): Counter {
    return new Counter({ name, help, registers: [this.registry] });
  }
}
