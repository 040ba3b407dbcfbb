/** `Q8_0`, `IQ4_XS`, `UD-Q4_K_XL`, `f16`, `bf16` ... at the end of a GGUF file's name. */
const QUANTISATION = /[.-](?:ud-)?(?:i?q\d+(?:_[a-z0-9]+)*|b?f16|fp16|f32|fp32)$/i;

/** Model id by default: the file's name without `.gguf` and without a quantisation suffix. */
export const modelIdOf = (fileName: string): string => fileName.replace(/\.gguf$/i, '').replace(QUANTISATION, '');
