// The demo's results: one row of figures per document, its questions and answers below.
import { bold, dim } from './terminal.mjs';

const columns = [
  ['document', (row) => row.document],
  ['tokens', ({ cache }) => count(cache?.tokens)],
  ['entries', ({ cache }) => count(cache?.entries)],
  ['kept', ({ cache }) => (cache ? `${((100 * cache.entries) / cache.tokens).toFixed(1)} %` : '-')],
  ['cache', ({ cache }) => (cache ? `${(cache.bytes / 1e6).toFixed(1)} MB` : '-')],
  ['prefill tok/s', (row) => rate(row.cache?.tokens, row.prefillSeconds)],
  ['decode tok/s', (row) => rate(row.completionTokens, row.decodeSeconds)],
];

/**
 * The table as text, none of its lines longer than `width` where words allow.
 * @param {{document: string, question: string, body: object}[]} items `body`: a chat completion with `usage.kv_cache`
 */
export function resultTable(items, width) {
  const groups = [...new Set(items.map((item) => item.document))].map((document) =>
    items.filter((item) => item.document === document),
  );
  const cells = groups.map((group) => columns.map(([, cell]) => cell(figures(group))));
  const widths = columns.map(([title], index) => Math.max(title.length, ...cells.map((row) => row[index].length)));
  const line = (row) =>
    row.map((text, index) => (index === 0 ? text.padEnd(widths[0]) : text.padStart(widths[index]))).join('  ');
  const lines = [bold(line(columns.map(([title]) => title)))];
  groups.forEach((group, index) => {
    lines.push('', line(cells[index]));
    for (const { question, body } of group) {
      const answer = (body.choices?.[0]?.message?.content ?? '').trim().replace(/\s+/g, ' ');
      lines.push(...wrap(question, width, '  ').map(dim), ...wrap(answer, width, '    '));
    }
  });
  return lines.join('\n');
}

/** The document was prefilled once for all of its items; decoded tokens are added up. */
function figures(group) {
  const usages = group.map(({ body }) => body.usage ?? {});
  const sum = (value) => usages.reduce((total, usage) => total + (value(usage) ?? 0), 0);
  return {
    document: group[0].document,
    cache: usages[0].kv_cache,
    prefillSeconds: Math.max(...usages.map((usage) => usage.timing?.prefill_seconds ?? 0)),
    completionTokens: sum((usage) => usage.completion_tokens),
    decodeSeconds: sum((usage) => usage.timing?.decode_seconds),
  };
}

const count = (value) => (value === undefined ? '-' : Math.round(value).toLocaleString('en-US'));

const rate = (tokens, seconds) => (tokens && seconds ? (tokens / seconds).toFixed(seconds > tokens ? 2 : 0) : '-');

/** Cuts at spaces into indented lines. */
function wrap(text, width, indent) {
  const lines = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line && indent.length + line.length + 1 + word.length > width) {
      lines.push(indent + line);
      line = word;
    } else {
      line = line ? `${line} ${word}` : word;
    }
  }
  return [...lines, indent + line];
}
