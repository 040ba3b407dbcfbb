export { EngineMetrics } from './engine-metrics.js';
export { createLogger } from './logger.js';
