import { UnknownPreTokenizerError } from './errors.js';

/**
 * How text is cut into words before byte-pair merging, by `tokenizer.ggml.pre`.
 *
 * Names, patterns and flags follow `llm_tokenizer_bpe` and `llama_vocab::impl::load` of llama.cpp (src/llama-vocab.cpp),
 * except that tekken and gpt-4o use the pattern of the models' own tokenizer.json, which llama.cpp approximates.
 * The patterns are applied one after the other, each to every piece the earlier ones left; matches and the gaps between
 * them both become pieces.
 */
export interface PreTokenizer {
  readonly patterns: readonly string[];
  /** A word that is a whole token is taken as it is, whatever the merges say. */
  readonly ignoreMerges: boolean;
  /** Whether a prompt starts with BOS when the file does not say. */
  readonly addBos: boolean;
}

const GPT2_WORDS = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)";
const CONTRACTIONS = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const SPACES = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
/** The shape that llama 3, qwen 2 and their kin share; they differ in how digits are grouped. */
const cl100k = (digits: string) =>
  `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${SPACES}`;
/** Words split at case changes; `suffix` follows each word. */
const cased = (suffix: string, digits: string) =>
  `[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+${suffix}|` +
  `[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*${suffix}|` +
  `${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${SPACES}`;
const ONE_DIGIT = '\\p{N}';
const THREE_DIGITS = '\\p{N}{1,3}';
const BLOOM_WORDS = ' ?[^(\\s|.,!?…。，、।۔،)]+';
/** Cased letters as deepseek-llm's tokenizer.json lists them; escaped, since an editor that normalises would break ranges. */
const DEEPSEEK_LETTERS =
  'A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373' +
  '\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f' +
  '\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77' +
  '\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d' +
  '\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb' +
  '\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128' +
  '\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4' +
  '\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf' +
  '\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\u{10400}-\u{1044f}\u{104b0}-\u{104d3}' +
  '\u{104d8}-\u{104fb}\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}\u{118a0}-\u{118df}\u{1e900}-\u{1e943}';
const DEEPSEEK_V3_WORDS =
  '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|' +
  ` ?[\\p{P}\\p{S}]+[\\r\\n]*|${SPACES}`;

interface Family {
  readonly names: readonly string[];
  readonly patterns: readonly string[];
  readonly ignoreMerges?: true;
  readonly addBos?: true;
}

const FAMILIES: readonly Family[] = [
  {
    names: ['default'],
    patterns: ['[\\p{P}\\$\\+<=>\\^~\\|]+', GPT2_WORDS, '\\p{N}+', '[0-9][0-9][0-9]'],
  },
  {
    names: [
      'gpt-2',
      'phi-2',
      'mpt',
      'olmo',
      'jais',
      'trillion',
      'granite-docling',
      'gigachat',
      'a.x-4.0',
      'mellum',
      'exaone4',
    ],
    patterns: [GPT2_WORDS],
  },
  {
    names: ['smollm', 'starcoder', 'refact', 'command-r', 'codeshell', 'exaone', 'minerva-7b', 'mellum2'],
    patterns: [ONE_DIGIT, GPT2_WORDS],
  },
  {
    names: ['llama-bpe', 'llama3', 'llama-v3', 'falcon3', 'pixtral', 'midm-2.0', 'lfm2'],
    patterns: [cl100k(THREE_DIGITS)],
    ignoreMerges: true,
    addBos: true,
  },
  { names: ['smaug-bpe', 'dbrx', 'glm4', 'chatglm-bpe'], patterns: [cl100k(THREE_DIGITS)] },
  {
    names: ['qwen2', 'deepseek-r1-qwen', 'stablelm2', 'megrez', 'hunyuan', 'kormo', 'solar-open', 'grok-2'],
    patterns: [cl100k(ONE_DIGIT)],
  },
  { names: ['minicpm5'], patterns: [THREE_DIGITS, cl100k('\\p{N}+')], ignoreMerges: true },
  {
    names: ['deepseek-llm'],
    patterns: [
      '[\\r\\n]',
      `\\s?[${DEEPSEEK_LETTERS}]+`,
      '\\s?[!-/:-~！-／：-～‘-‟　-。]+',
      '\\s+$',
      '[一-龥ࠀ-一가-퟿]+',
      '\\p{N}+',
    ],
  },
  {
    names: ['deepseek-coder'],
    patterns: ['[\\r\\n]', '\\s?\\p{L}+', '\\s?\\p{P}+', '[一-龥ࠀ-一가-퟿]+', ONE_DIGIT],
  },
  {
    names: ['deepseek-v3', 'hunyuan-dense', 'joyai-llm'],
    patterns: [THREE_DIGITS, '[一-龥぀-ゟ゠-ヿ]+', DEEPSEEK_V3_WORDS],
  },
  { names: ['falcon'], patterns: ['[\\p{P}\\$\\+<=>\\^~\\|`]+', GPT2_WORDS, '[0-9][0-9][0-9]'] },
  { names: ['tekken'], patterns: [cased('', ONE_DIGIT)], ignoreMerges: true, addBos: true },
  { names: ['gpt-4o', 'llama4', 'kanana2'], patterns: [cased(`${CONTRACTIONS}?`, THREE_DIGITS)] },
  {
    names: ['seed-coder'],
    patterns: [`${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|${SPACES}`],
  },
  { names: ['poro-chat', 'bloom', 'gpt3-finnish'], patterns: [BLOOM_WORDS] },
  { names: ['viking'], patterns: [BLOOM_WORDS, ONE_DIGIT] },
];

const BY_NAME: ReadonlyMap<string, PreTokenizer> = new Map(
  FAMILIES.flatMap(({ names, patterns, ignoreMerges = false, addBos = false }) =>
    names.map((name) => [name, { patterns, ignoreMerges, addBos }] as const),
  ),
);

/** Every value of `tokenizer.ggml.pre` that {@link findPreTokenizer} knows. */
export const PRE_TOKENIZER_NAMES: readonly string[] = [...BY_NAME.keys()];

/** The pre-tokenizer `name`. Throws {@link UnknownPreTokenizerError}: a guess would give wrong token ids silently. */
export function findPreTokenizer(path: string, name: string | undefined): PreTokenizer {
  const found = name === undefined ? undefined : BY_NAME.get(name);
  if (found !== undefined) return found;
  throw new UnknownPreTokenizerError({
    where: path,
    expected: `tokenizer.ggml.pre to be one of ${PRE_TOKENIZER_NAMES.join(', ')}`,
    found: name === undefined ? 'none' : JSON.stringify(name),
    advice: 'Convert the model again with a current llama.cpp, or choose another model.',
  });
}
