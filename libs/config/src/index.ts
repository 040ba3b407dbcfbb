export type { CompressionSetting } from './compression-setting.js';
export { Config, loadConfig } from './config.js';
export { type BadVariable, ConfigError } from './config-error.js';
