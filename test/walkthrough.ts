/** A block of commands of a Markdown page, and what the page shows that they print. */
export interface Step {
  /** Line of the page that the block begins on, from 1. */
  readonly line: number;
  /** Empty where output is shown that no block of commands is before: it comes from what goes on in the background. */
  readonly commands: string;
  readonly shown: readonly string[];
}

/** The `sh` blocks of a page; a `text` block shows what the `sh` block before it prints. */
export function stepsOf(markdown: string): Step[] {
  const steps: Step[] = [];
  let commands = '';
  let line = 0;
  for (const { 1: language, 2: content = '', index } of markdown.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)) {
    if (commands !== '') steps.push({ line, commands, shown: language === 'text' ? content.split('\n') : [] });
    line = markdown.slice(0, index).split('\n').length;
    if (language === 'text' && commands === '') steps.push({ line, commands, shown: content.split('\n') });
    commands = language === 'sh' ? content : '';
  }
  return commands === '' ? steps : [...steps, { line, commands, shown: [] }];
}

/** What differs from run to run, and a progress bar, which is drawn on terminals only. */
const VARIABLE = /(?<id>(?:batch|file)[_-][0-9a-f]{32})|(?<number>\d[\d,.:]*)|(?<space> +)|(?<rest>…)|(?<bar>[█░]+ )/g;

/** Words indented by four spaces. */
const ANSWER = /^ {4}\p{L}/u;

/**
 * The first shown line that was not printed, in order; undefined where all were. Numbers, ids and the width of spaces may
 * differ, `…` stands for anything, and answers of the model are not compared.
 */
export function missingLine(shown: readonly string[], printed: string): string | undefined {
  const lines = printed.split('\n').map((line) => line.trimEnd());
  let next = 0;
  for (const line of shown) {
    if (line.trim() === '' || ANSWER.test(line)) continue;
    const pattern = patternOf(line);
    const at = lines.findIndex((candidate, i) => i >= next && pattern.test(candidate));
    if (at < 0) return line;
    next = at + 1;
  }
  return undefined;
}

function patternOf(line: string): RegExp {
  let pattern = '';
  let end = 0;
  const literal = (to: number) => line.slice(end, to).replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
  for (const match of line.matchAll(VARIABLE)) {
    const { id, number, space, rest } = match.groups!;
    pattern += literal(match.index);
    if (id) pattern += `${id.split(/[_-]/)[0]}[_-][0-9a-f]{32}`;
    else if (number) pattern += '\\d[\\d,.:]*';
    else if (space) pattern += ' +';
    else if (rest) pattern += '.*';
    else pattern += ' *';
    end = match.index + match[0].length;
  }
  return new RegExp(`^ *${pattern}${literal(line.length)}$`);
}
