import type { Tokenizer } from '@app/gguf-model';
import { jsonGrammar, SchemaError } from '@app/json-grammar';
import type { CompiledGrammar, GrammarCompiler, GrammarMatcher } from '@mlc-ai/web-xgrammar';
import { UnusableSchemaError } from './engine-errors.js';
import type { JsonFormat } from './engine-port.js';
import { loadXGrammar, type XGrammar } from './xgrammar.js';

/** Compiled schemas that are kept, some hundred KB each. */
const MAX_COMPILED = 32;
/** Which tokens an answer may go on with. */
export interface TokenConstraint {
  /** A bit a token, from the lowest bit of the first number on: 1 where it may come next. Settled once `ready` is. */
  readonly mask: Int32Array;
  readonly ready: Promise<void>;
  /** The answer goes on with `token`, one of those allowed. */
  accept(token: number): void;
  dispose(): void;
}

interface Loaded {
  readonly library: XGrammar;
  readonly compiler: GrammarCompiler;
  readonly compiled: Map<string, CompiledGrammar>;
}

/** Makes constraints of JSON schemas, for one vocabulary. Loads the grammar engine (some 40 MB) when the first one is asked for. */
export class JsonConstraints {
  private loaded: Promise<Loaded> | undefined;

  constructor(private readonly tokenizer: Tokenizer) {}

  /** Rejects with `UnusableSchemaError` where the schema cannot be decoded by. */
  async open(format: JsonFormat): Promise<TokenConstraint> {
    this.loaded ??= this.load().catch((error: unknown) => {
      this.loaded = undefined;
      throw error;
    });
    const { library, compiler, compiled } = await this.loaded;
    const key = `${format.strict}${format.schema}`;
    let grammar = compiled.get(key);
    compiled.delete(key);
    const ebnf = grammar ?? ebnfOf(format);
    try {
      grammar = typeof ebnf === 'string' ? await compiler.compileGrammar(ebnf) : ebnf;
    } catch {
      // The library has stopped in the middle of something: whoever decodes by it may go on, but nothing new is begun in it.
      this.loaded = undefined;
      throw new UnusableSchemaError();
    }
    compiled.set(key, grammar);
    for (const [oldest, old] of compiled) {
      if (compiled.size <= MAX_COMPILED) break;
      compiled.delete(oldest);
      old.dispose();
    }
    const matcher = await library.GrammarMatcher.createGrammarMatcher(grammar);
    const constraint = new GrammarConstraint(matcher, await matcher.getNextTokenBitmask());
    if (constraint.mask.some((bits) => bits !== 0)) return constraint;
    constraint.dispose();
    throw new UnusableSchemaError();
  }

  private load(): Promise<Loaded> {
    const { tokenizer } = this;
    // Control tokens have no text, so that no grammar allows one but those that end the turn.
    const vocabulary = Array.from({ length: tokenizer.vocabularySize }, (_, token) => tokenizer.byteLevelText(token));
    return loadXGrammar(async (library) => {
      const ends = [...tokenizer.endOfTurnTokens];
      const info = await library.TokenizerInfo.createTokenizerInfo(
        vocabulary,
        'byte_level',
        false,
        vocabulary.length,
        ends,
      );
      const compiler = await library.GrammarCompiler.createGrammarCompiler(info, false);
      return { library, compiler, compiled: new Map() };
    });
  }
}

/** XGrammar converts schemas itself, but lets through some that it does not hold answers to: bounds of numbers, quotes in patterns. */
function ebnfOf({ schema, strict }: JsonFormat): string {
  try {
    return jsonGrammar(JSON.parse(schema), strict);
  } catch (error) {
    throw error instanceof SchemaError ? new UnusableSchemaError() : error;
  }
}

class GrammarConstraint implements TokenConstraint {
  ready: Promise<void> = Promise.resolve();
  private disposed = false;

  constructor(
    private readonly matcher: GrammarMatcher,
    public mask: Int32Array,
  ) {}

  accept(token: number): void {
    if (!this.matcher.acceptToken(token)) throw new Error(`the grammar does not allow the token ${token}`);
    this.ready = this.look();
    // Told to whoever waits for it; where the answer has ended nobody does.
    this.ready.catch(() => undefined);
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.matcher.dispose();
  }

  private async look(): Promise<void> {
    if (!this.matcher.isTerminated() && !this.disposed) this.mask = await this.matcher.getNextTokenBitmask();
  }
}
