import type { CompiledGrammar, GrammarCompiler, GrammarMatcher } from '@mlc-ai/web-xgrammar';
import { UnusableSchemaError } from './engine-errors.js';
import type { TokenConstraint, Vocabulary } from './token-constraint.js';
import { loadXGrammar, type XGrammar } from './xgrammar.js';

/** Compiled grammars that are kept, some hundred KB each. */
const MAX_COMPILED = 32;

interface Loaded {
  readonly library: XGrammar;
  readonly compiler: GrammarCompiler;
  /** By their text, the one used last at the end. */
  readonly compiled: Map<string, Promise<CompiledGrammar>>;
}

/** XGrammar for one vocabulary, in this thread. Loads it (some 40 MB) when the first constraint is asked for. */
export class GrammarLibrary {
  private loaded: Promise<Loaded> | undefined;

  constructor(private readonly vocabulary: () => Vocabulary) {}

  /** Rejects with `UnusableSchemaError` where the grammar (EBNF) cannot be decoded by. */
  async open(ebnf: string): Promise<TokenConstraint> {
    this.loaded ??= this.load().catch((error: unknown) => {
      this.loaded = undefined;
      throw error;
    });
    const { library, compiler, compiled } = await this.loaded;
    // Many items ask at once for what is being compiled.
    const grammar = compiled.get(ebnf) ?? compiler.compileGrammar(ebnf);
    compiled.delete(ebnf);
    compiled.set(ebnf, grammar);
    try {
      await grammar;
    } catch {
      // The library has stopped in the middle of something: whoever decodes by it may go on, but nothing new is begun in it.
      this.loaded = undefined;
      throw new UnusableSchemaError();
    }
    const matcher = await library.GrammarMatcher.createGrammarMatcher(await grammar);
    for (const [oldest, old] of compiled) {
      if (compiled.size <= MAX_COMPILED) break;
      compiled.delete(oldest);
      // A matcher has what it needs.
      old.then((one) => one.dispose()).catch(() => undefined);
    }
    const constraint = new GrammarConstraint(matcher, await matcher.getNextTokenBitmask());
    if (constraint.mask.some((bits) => bits !== 0)) return constraint;
    constraint.dispose();
    throw new UnusableSchemaError();
  }

  private load(): Promise<Loaded> {
    const { texts, ends } = this.vocabulary();
    return loadXGrammar(async (library) => {
      const info = await library.TokenizerInfo.createTokenizerInfo([...texts], 'byte_level', false, texts.length, [
        ...ends,
      ]);
      const compiler = await library.GrammarCompiler.createGrammarCompiler(info, false);
      return { library, compiler, compiled: new Map() };
    });
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
