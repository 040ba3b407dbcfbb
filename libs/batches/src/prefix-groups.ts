/** Items that are answered from one cache. */
export interface PrefixGroup {
  /** Tokens that all members begin with and that are prefilled once; every member has at least one token after it. */
  readonly prefixLength: number;
  /** Positions in the list of prompts, ascending. */
  readonly members: readonly number[];
  /** Members of all groups with this prefix, where there were too many for one. */
  readonly siblings?: readonly number[];
}

export interface GroupingLimits {
  /** A shorter common beginning is not worth a cache of its own. */
  readonly minSharedTokens: number;
  /** Larger groups are cut, so that several workers can share them. */
  readonly maxItems: number;
  /** Tokens left outside the prefix of an item that shares with nobody. */
  readonly aloneSuffixTokens: number;
}

/** design.md sections 3 and 6. */
export const GROUPING_LIMITS: GroupingLimits = { minSharedTokens: 256, maxItems: 64, aloneSuffixTokens: 32 };

/**
 * Partitions prompts (token ids, at least two each) into groups that share a prefix, so that few tokens are prefilled.
 *
 * The sorted prompts form a trie whose inner nodes are the points where prompts part. Going up from the leaves, the
 * prompts under a node become a group where sharing that node's depth saves more than joining what is under its parent:
 * two documents behind one system prompt part, two questions that begin alike do not.
 */
export function groupByPrefix(prompts: readonly Int32Array[], limits = GROUPING_LIMITS): PrefixGroup[] {
  const order = prompts.map((_, position) => position).sort((a, b) => compare(prompts[a]!, prompts[b]!) || a - b);
  const groups: number[][] = [];
  const open: { depth: number; members: number[] }[] = [{ depth: 0, members: [] }];
  const top = () => open[open.length - 1]!;

  const close = (below: number): void => {
    while (top().depth > below) {
      const { depth, members } = open.pop()!;
      const parentDepth = Math.max(below, top().depth);
      if (top().depth < parentDepth) open.push({ depth: parentDepth, members: [] });
      if (isWorthAGroup(members.length, depth, parentDepth, limits)) groups.push(members);
      else for (const member of members) top().members.push(member);
    }
  };

  let before = 0;
  for (let i = 0; i < order.length; i++) {
    const after = i + 1 < order.length ? commonPrefix(prompts[order[i]!]!, prompts[order[i + 1]!]!) : 0;
    close(before);
    if (after > top().depth) open.push({ depth: after, members: [] });
    top().members.push(order[i]!);
    before = after;
  }
  close(0);
  for (const member of top().members) groups.push([member]);

  return groups
    .flatMap((siblings) => {
      const length = prefixLength(siblings, prompts, limits);
      const pieces = cut(siblings, limits.maxItems);
      return pieces.map((members) => ({
        prefixLength: length,
        members: members.sort((a, b) => a - b),
        ...(pieces.length > 1 && { siblings }),
      }));
    })
    .sort((a, b) => a.members[0]! - b.members[0]!);
}

/** Tokens saved by a group of its own against tokens saved by joining the parent's. */
function isWorthAGroup(
  items: number,
  depth: number,
  parentDepth: number,
  { minSharedTokens }: GroupingLimits,
): boolean {
  if (items < 2 || depth < minSharedTokens) return false;
  return (items - 1) * depth > (parentDepth < minSharedTokens ? 0 : items * parentDepth);
}

/** Pieces of nearly equal size, none above `most`. */
function cut(members: number[], most: number): number[][] {
  const pieces = Math.ceil(members.length / most);
  return Array.from({ length: pieces }, (_, piece) =>
    members.slice(Math.floor((piece * members.length) / pieces), Math.floor(((piece + 1) * members.length) / pieces)),
  );
}

/** `members` are in trie order, so the first and the last one differ the most. */
function prefixLength(members: number[], prompts: readonly Int32Array[], limits: GroupingLimits): number {
  const first = prompts[members[0]!]!;
  if (members.length === 1) {
    const prefix = first.length - limits.aloneSuffixTokens;
    return prefix >= 1 ? prefix : first.length - 1;
  }
  const shortest = members.reduce((length, member) => Math.min(length, prompts[member]!.length), first.length);
  return Math.min(commonPrefix(first, prompts[members.at(-1)!]!), shortest - 1);
}

function commonPrefix(a: Int32Array, b: Int32Array): number {
  const length = Math.min(a.length, b.length);
  let i = 0;
  while (i < length && a[i] === b[i]) i++;
  return i;
}

function compare(a: Int32Array, b: Int32Array): number {
  const i = commonPrefix(a, b);
  return i < a.length && i < b.length ? a[i]! - b[i]! : a.length - b.length;
}
