/** The grammar engine: XGrammar (arXiv 2411.15100) as WebAssembly. */
export type XGrammar = typeof import('@mlc-ai/web-xgrammar');

const SPECIFIER = '@mlc-ai/web-xgrammar';
let loaded = 0;

/**
 * A new instance of the library. It comes as a script for browsers that calls itself a module: it puts its exports into
 * `globalThis` and looks for itself at `location`, once when it is read and once when it is first used.
 */
export async function loadXGrammar<T>(use: (library: XGrammar) => Promise<T>): Promise<T> {
  const scope = globalThis as { location?: unknown; xgrammar?: XGrammar };
  const { location } = scope;
  const url = new URL(import.meta.resolve(SPECIFIER));
  scope.location = url;
  try {
    // Another address each time: an instance that gave up on a grammar is not to be used again.
    await import(`${url.href}?${loaded++}`);
    const library = scope.xgrammar as XGrammar;
    delete scope.xgrammar;
    return await use(library);
  } finally {
    if (location === undefined) delete scope.location;
    else scope.location = location;
  }
}
