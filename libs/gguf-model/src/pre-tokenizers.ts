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
/** Cased letters as deepseek-llm's tokenizer.json lists them. */
const DEEPSEEK_LETTERS =
  'A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼ' +
  'ℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃';
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
