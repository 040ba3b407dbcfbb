import { GgufMetadataError, UnsupportedTokenizerError } from './errors.js';
import type { Metadata } from './metadata.js';
import { findPreTokenizer, type PreTokenizer } from './pre-tokenizers.js';

/** What the metadata says about a byte-level BPE tokenizer. */
export interface Vocabulary {
  readonly path: string;
  /** Token texts by id, in byte-level characters for ordinary tokens, plain for the special ones. */
  readonly tokens: readonly string[];
  /** Pairs in order of rank, the two parts separated by one space. */
  readonly merges: readonly string[];
  readonly preTokenizer: PreTokenizer;
  /** Ids by text: tokens that only a chat template may write. */
  readonly controlTokens: ReadonlyMap<string, number>;
  /** Ids by text: tokens that are recognised in any text, as llama.cpp does. */
  readonly userDefinedTokens: ReadonlyMap<string, number>;
  readonly bosToken: number | undefined;
  readonly eosToken: number | undefined;
  /** Whether a prompt starts with bosToken. */
  readonly addBos: boolean;
  /** Tokens that end the model's turn, ascending. */
  readonly endOfTurnTokens: readonly number[];
}

/** Values of `tokenizer.ggml.token_type` (`llama_token_type` of llama.h). */
const CONTROL = 3;
const USER_DEFINED = 4;

/** Texts that end a turn whatever their token type says: the list of llama.cpp (`special_eog_ids`). */
const END_OF_TURN_TEXTS: readonly string[] = [
  '<|eot_id|>',
  '<|eom_id|>',
  '<|im_end|>',
  '<|end|>',
  '<|return|>',
  '<|call|>',
  '<|endoftext|>',
  '<|end_of_text|>',
  '<end_of_turn>',
  '<end_of_utterance>',
  '</s>',
  '<EOT>',
  '[EOT]',
  '[EOS]',
  '<｜end▁of▁sentence｜>',
];
const END_OF_TURN_KEYS = ['eos_token_id', 'eot_token_id', 'eom_token_id'] as const;

/** Reads and checks the tokenizer's part of the metadata. Throws a named error for anything but byte-level BPE. */
export function readVocabulary(metadata: Metadata): Vocabulary {
  const { path } = metadata;
  const model = metadata.required('tokenizer.ggml.model', metadata.string('tokenizer.ggml.model'));
  if (model !== 'gpt2') {
    throw new UnsupportedTokenizerError({
      where: path,
      expected: 'a byte-level BPE tokenizer (tokenizer.ggml.model gpt2)',
      found: `${JSON.stringify(model)}${model === 'llama' ? ', which is SentencePiece' : ''}`,
      advice: 'Choose a model with a byte-level tokenizer (Llama 3, SmolLM2, Qwen-type vocabularies).',
    });
  }
  const preTokenizer = findPreTokenizer(path, metadata.string('tokenizer.ggml.pre'));
  const tokens = metadata.required('tokenizer.ggml.tokens', metadata.strings('tokenizer.ggml.tokens'));
  const merges = metadata.required('tokenizer.ggml.merges', metadata.strings('tokenizer.ggml.merges'));
  const types = metadata.numbers('tokenizer.ggml.token_type') ?? [];
  const damaged = (expected: string, found: string) =>
    new GgufMetadataError({
      where: path,
      expected,
      found,
      advice: 'The tokenizer is damaged: convert the model again.',
    });
  if (tokens.length === 0) throw damaged('a vocabulary', 'no tokens');
  if (types.length !== 0 && types.length !== tokens.length) {
    throw damaged(`${tokens.length} token types`, `${types.length}`);
  }

  const ids = new Map<string, number>();
  const controlTokens = new Map<string, number>();
  const userDefinedTokens = new Map<string, number>();
  tokens.forEach((text, id) => {
    if (ids.has(text)) throw damaged('every token once', `${JSON.stringify(text)} as ${ids.get(text)} and ${id}`);
    ids.set(text, id);
    if (text === '') return; // an empty special text would match everywhere
    if (types[id] === CONTROL) controlTokens.set(text, id);
    else if (types[id] === USER_DEFINED) userDefinedTokens.set(text, id);
  });

  for (const merge of merges) {
    // text that merged into a token that does not exist would vanish
    if (!ids.has(merge.replace(' ', ''))) throw damaged('every merge to make a token', JSON.stringify(merge));
  }

  const special = (key: string) => metadata.count(`tokenizer.ggml.${key}`, 0, tokens.length - 1);
  const endOfTurn = new Set<number>();
  for (const key of END_OF_TURN_KEYS) {
    const id = special(key);
    if (id !== undefined) endOfTurn.add(id);
  }
  for (const text of END_OF_TURN_TEXTS) {
    const id = ids.get(text);
    if (id !== undefined) endOfTurn.add(id);
  }
  // whatever ends a turn is a control token, even where a careless conversion marked it as ordinary
  for (const id of endOfTurn) {
    const text = tokens[id]!;
    userDefinedTokens.delete(text);
    if (text !== '') controlTokens.set(text, id);
  }

  const bosToken = special('bos_token_id');
  const addBos = metadata.boolean('tokenizer.ggml.add_bos_token') ?? preTokenizer.addBos;
  if (addBos && bosToken === undefined)
    throw damaged('tokenizer.ggml.bos_token_id, since prompts start with BOS', 'none');
  return {
    path,
    tokens,
    merges,
    preTokenizer,
    controlTokens,
    userDefinedTokens,
    bosToken,
    eosToken: special('eos_token_id'),
    addBos,
    endOfTurnTokens: [...endOfTurn].sort((a, b) => a - b),
  };
}
