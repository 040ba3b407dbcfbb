/** OpenAI's `system_fingerprint`: changes with what may change answers to the same request. */
export const systemFingerprint = (modelId: string, precision: string): string => `fp_${modelId}_${precision}`;
