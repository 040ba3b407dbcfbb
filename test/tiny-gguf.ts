import { writeFileSync } from 'node:fs';

/** A metadata value: whole numbers are written as uint32, `{ float }` as float32, arrays of numbers as int32. */
export type TinyValue = string | number | boolean | { readonly float: number } | readonly string[] | readonly number[];

export interface TinyTensor {
  readonly name: string;
  /** Row-major: [rows, columns] or [length]. */
  readonly shape: readonly number[];
  readonly values: Float32Array;
  /** Raw bytes of another ggml type, instead of `values` as float32. */
  readonly raw?: { readonly ggmlType: number; readonly bytes: Uint8Array };
}

export interface TinyOverrides {
  readonly layers?: number;
  readonly hidden?: number;
  readonly queryHeads?: number;
  readonly kvHeads?: number;
  readonly headSize?: number;
  readonly feedForward?: number;
  readonly contextLength?: number;
  /** Adds output.weight; otherwise the embedding is the output matrix. */
  readonly untiedOutput?: boolean;
  /** Adds rope_freqs.weight with these factors, [headSize / 2]. */
  readonly ropeFrequencyFactors?: readonly number[];
  /** Tokens of type USER_DEFINED, after all others. */
  readonly userDefinedTokens?: readonly string[];
  /** Replaces metadata keys; undefined removes one. */
  readonly metadata?: Readonly<Record<string, TinyValue | undefined>>;
  /** Last word on the tensors: drop, add or change some. */
  readonly tensors?: (tensors: TinyTensor[]) => TinyTensor[];
  /** Seed of the random weights, default 1. */
  readonly seed?: number;
}

const ALIGNMENT = 32;
const CONTROL_TOKENS = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'];
/** Enough merges for words of more than one byte. */
const MERGES = ['h e', 'Ġ t', 'Ġt he', '1 2', 'i n', 'e r', 'a n', 'a a', 'aa aa', 'Ġ Ġ', 'ĠĠ ĠĠ'];
const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/**
 * Writes a small random llama model with a byte-level BPE vocabulary (three control tokens, 256 bytes, a few merges) and
 * a ChatML template: 2 layers, hidden 64, 4 query and 2 KV heads of 16, feed-forward 128, context 512, all float32.
 * It answers nonsense, fast: for tests of shapes, limits and flow. The same overrides give the same bytes.
 */
export function writeTinyGguf(path: string, overrides: TinyOverrides = {}): void {
  writeFileSync(path, tinyGguf(overrides));
}

/** The bytes that {@link writeTinyGguf} writes. */
export function tinyGguf(overrides: TinyOverrides = {}): Buffer {
  const { layers = 2, hidden = 64, queryHeads = 4, kvHeads = 2, headSize = 16, feedForward = 128 } = overrides;
  const { tokens, types } = vocabulary(overrides.userDefinedTokens ?? []);
  const metadata: Record<string, TinyValue | undefined> = {
    'general.architecture': 'llama',
    'general.name': 'Tiny random llama',
    'llama.block_count': layers,
    'llama.context_length': overrides.contextLength ?? 512,
    'llama.embedding_length': hidden,
    'llama.feed_forward_length': feedForward,
    'llama.attention.head_count': queryHeads,
    'llama.attention.head_count_kv': kvHeads,
    'llama.attention.key_length': headSize,
    'llama.attention.value_length': headSize,
    'llama.attention.layer_norm_rms_epsilon': { float: 1e-5 },
    'llama.rope.freq_base': { float: 10_000 },
    'llama.rope.dimension_count': headSize,
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'smollm',
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': types,
    'tokenizer.ggml.merges': MERGES,
    'tokenizer.ggml.bos_token_id': 1,
    'tokenizer.ggml.eos_token_id': 2,
    'tokenizer.ggml.add_bos_token': false,
    'tokenizer.chat_template': CHATML,
    ...overrides.metadata,
  };

  const random = uniform(overrides.seed ?? 1);
  const matrix = (name: string, rows: number, columns: number): TinyTensor => {
    const scale = Math.sqrt(3 / columns); // unit variance in, unit variance out
    return {
      name,
      shape: [rows, columns],
      values: Float32Array.from({ length: rows * columns }, () => scale * random()),
    };
  };
  const norm = (name: string): TinyTensor => {
    return { name, shape: [hidden], values: Float32Array.from({ length: hidden }, () => 1 + 0.1 * random()) };
  };
  const tensors: TinyTensor[] = [matrix('token_embd.weight', tokens.length, hidden)];
  for (let layer = 0; layer < layers; layer++) {
    const block = `blk.${layer}`;
    tensors.push(
      norm(`${block}.attn_norm.weight`),
      matrix(`${block}.attn_q.weight`, queryHeads * headSize, hidden),
      matrix(`${block}.attn_k.weight`, kvHeads * headSize, hidden),
      matrix(`${block}.attn_v.weight`, kvHeads * headSize, hidden),
      matrix(`${block}.attn_output.weight`, hidden, queryHeads * headSize),
      norm(`${block}.ffn_norm.weight`),
      matrix(`${block}.ffn_gate.weight`, feedForward, hidden),
      matrix(`${block}.ffn_up.weight`, feedForward, hidden),
      matrix(`${block}.ffn_down.weight`, hidden, feedForward),
    );
  }
  tensors.push(norm('output_norm.weight'));
  if (overrides.untiedOutput) tensors.push(matrix('output.weight', tokens.length, hidden));
  if (overrides.ropeFrequencyFactors) {
    const values = Float32Array.from(overrides.ropeFrequencyFactors);
    tensors.push({ name: 'rope_freqs.weight', shape: [values.length], values });
  }
  return serialise(metadata, overrides.tensors ? overrides.tensors(tensors) : tensors);
}

function vocabulary(userDefined: readonly string[]): { tokens: string[]; types: number[] } {
  // the byte-level alphabet, written out again here so that the library's own table is tested against it
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  const printable = bytes.filter((b) => (b > 32 && b < 127) || (b > 160 && b !== 173));
  const rest = bytes.filter((b) => !printable.includes(b));
  const alphabet = bytes.map((b) => String.fromCharCode(printable.includes(b) ? b : 256 + rest.indexOf(b)));
  const merged = MERGES.map((pair) => pair.replace(' ', ''));
  const ordinary = [...alphabet, ...merged];
  return {
    tokens: [...CONTROL_TOKENS, ...ordinary, ...userDefined],
    types: [...CONTROL_TOKENS.map(() => 3), ...ordinary.map(() => 1), ...userDefined.map(() => 4)],
  };
}

/** Deterministic numbers in [-1, 1): the mulberry32 generator. */
function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 31 - 1;
  };
}

function serialise(metadata: Readonly<Record<string, TinyValue | undefined>>, tensors: readonly TinyTensor[]): Buffer {
  const entries = Object.entries(metadata).filter((entry): entry is [string, TinyValue] => entry[1] !== undefined);
  const header: Buffer[] = [Buffer.from('GGUF'), uint32(3), uint64(tensors.length), uint64(entries.length)];
  for (const [key, value] of entries) header.push(text(key), typedValue(value));
  const data: Buffer[] = [];
  let offset = 0;
  for (const { name, shape, values, raw } of tensors) {
    const bytes = raw?.bytes ?? new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    header.push(text(name), uint32(shape.length), ...[...shape].reverse().map(uint64));
    header.push(uint32(raw?.ggmlType ?? 0), uint64(offset));
    data.push(padded(Buffer.from(bytes)));
    offset += data.at(-1)!.length;
  }
  return Buffer.concat([padded(Buffer.concat(header)), ...data]);
}

/** A value with its GGUF type number before it. */
function typedValue(value: TinyValue): Buffer {
  if (typeof value === 'string') return Buffer.concat([uint32(8), text(value)]);
  if (typeof value === 'boolean') return Buffer.concat([uint32(7), Buffer.from([value ? 1 : 0])]);
  if (typeof value === 'number') return Buffer.concat([uint32(4), uint32(value)]);
  if ('float' in value) return Buffer.concat([uint32(6), float32(value.float)]);
  const isText = typeof value[0] === 'string';
  const elements = value.map((each) => (typeof each === 'string' ? text(each) : uint32(each)));
  return Buffer.concat([uint32(9), uint32(isText ? 8 : 5), uint64(value.length), ...elements]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([uint64(bytes.length), bytes]);
}

function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}

function uint64(value: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(value));
  return buffer;
}

function float32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeFloatLE(value);
  return buffer;
}

function padded(bytes: Buffer): Buffer {
  const short = (ALIGNMENT - (bytes.length % ALIGNMENT)) % ALIGNMENT;
  return short === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(short)]);
}
