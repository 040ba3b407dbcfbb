export type { CompressionSetting } from './compression-setting.js';
export { Config, loadConfig, type WebhookSetting } from './config.js';
export { type BadVariable, ConfigError } from './config-error.js';
export { withoutPassword } from './without-password.js';
