import type { Tokenizer } from '@app/gguf-model';
import { type JsonGrammar, jsonGrammar, SchemaError } from '@app/json-grammar';
import { ConstraintThreads } from './constraint-threads.js';
import { UnusableSchemaError } from './engine-errors.js';
import type { JsonFormat } from './engine-port.js';
import { GrammarLibrary } from './grammar-library.js';
import type { TokenConstraint, Vocabulary } from './token-constraint.js';

/** Grammars that cost more (`JsonGrammar`) are compiled elsewhere: some 0.3 s, in which this thread would do nothing else. */
const COSTLY = 30;
/** Schemas whose grammars are known; converting a large one takes half a second. */
const MAX_KNOWN = 32;

/** Makes constraints of JSON schemas, for one vocabulary. */
export class JsonConstraints {
  private readonly library: GrammarLibrary;
  private readonly threads: ConstraintThreads;
  private readonly known = new Map<string, JsonGrammar>();

  /** @param costly what a grammar costs at least that is compiled in a thread of its own */
  constructor(
    tokenizer: Tokenizer,
    private readonly costly = COSTLY,
  ) {
    const vocabulary = () => vocabularyOf(tokenizer);
    this.library = new GrammarLibrary(vocabulary);
    this.threads = new ConstraintThreads(vocabulary);
  }

  /** Rejects with `UnusableSchemaError` where the schema cannot be decoded by, and where `signal` is aborted with `EngineAbortedError`. */
  async open(format: JsonFormat, signal?: AbortSignal): Promise<TokenConstraint> {
    const { ebnf, cost } = this.grammarOf(format);
    return cost >= this.costly ? this.threads.open(ebnf, signal) : this.library.open(ebnf);
  }

  async close(): Promise<void> {
    await this.threads.close();
  }

  private grammarOf(format: JsonFormat): JsonGrammar {
    const key = `${format.strict}${format.schema}`;
    const grammar = this.known.get(key) ?? convert(format);
    this.known.delete(key);
    this.known.set(key, grammar);
    if (this.known.size > MAX_KNOWN) this.known.delete(this.known.keys().next().value!);
    return grammar;
  }
}

/** XGrammar converts schemas itself, but lets through some that it does not hold answers to: bounds of numbers, quotes in patterns. */
function convert({ schema, strict }: JsonFormat): JsonGrammar {
  try {
    return jsonGrammar(JSON.parse(schema), strict);
  } catch (error) {
    throw error instanceof SchemaError ? new UnusableSchemaError() : error;
  }
}

/** Control tokens have no text, so that no grammar allows one but those that end the turn. */
const vocabularyOf = (tokenizer: Tokenizer): Vocabulary => ({
  texts: Array.from({ length: tokenizer.vocabularySize }, (_, token) => tokenizer.byteLevelText(token)),
  ends: [...tokenizer.endOfTurnTokens],
});
