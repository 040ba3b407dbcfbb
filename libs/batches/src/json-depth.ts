/**
 * Deepest nesting of a JSON body. A request needs 7 levels; a body of brackets alone, 20,000 deep, parses, and then
 * overflows the stack of whatever walks it by recursion: the validator, `JSON.stringify`.
 */
export const MAX_JSON_DEPTH = 32;

/** Whether objects and lists lie more than `MAX_JSON_DEPTH` deep in each other. Looks a level at a time, not recursively. */
export function isTooDeep(value: unknown): boolean {
  let level = [value].filter(isContainer);
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > MAX_JSON_DEPTH) return true;
    const next: object[] = [];
    for (const container of level) {
      const members: unknown[] = Array.isArray(container) ? container : Object.values(container);
      for (const member of members) if (isContainer(member)) next.push(member);
    }
    level = next;
  }
  return false;
}

const isContainer = (value: unknown): value is object => typeof value === 'object' && value !== null;
