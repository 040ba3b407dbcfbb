/** Half of a character of two UTF-16 units: JSON may write one (`"\ud800"`), and no text has it. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * Where in a JSON value a text is that is not Unicode, names of members included: `messages[0].content`; undefined where all
 * are. The value must not be too deep (`isTooDeep`).
 */
export function brokenTextAt(value: unknown, path = ''): string | undefined {
  if (typeof value === 'string') return LONE_SURROGATE.test(value) ? path : undefined;
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [name, member] of Object.entries(value)) {
    const at = Array.isArray(value) ? `${path}[${name}]` : path === '' ? name : `${path}.${name}`;
    const found = LONE_SURROGATE.test(name) ? path : brokenTextAt(member, at);
    if (found !== undefined) return found;
  }
  return undefined;
}
