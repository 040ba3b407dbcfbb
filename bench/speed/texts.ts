import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tokenizer } from '@app/gguf-model';

/** Asked of whatever document; greedy answers of the default model to them fill the tokens they may have. */
const QUESTIONS = [
  'Who is addressed, and what is asked of them?',
  'Which reasons are given, and in what order?',
  'Which dangers are named, and what follows from each?',
  'Which persons and courts are named, and what did each do?',
  'What is said about the government, and why?',
  'What is said about the people, and why?',
  'Which words are used for power, and where?',
  'How does the text begin, how does it go on, and how does it end?',
];

/** Public-domain documents of any length, and questions on them, as token ids. */
export class Texts {
  /** Each text of the folder, in order of names. */
  private readonly sources: readonly (readonly number[])[];

  constructor(
    private readonly tokenizer: Tokenizer,
    folder: string,
  ) {
    const names = readdirSync(folder)
      .filter((name) => name.endsWith('.txt'))
      .sort();
    this.sources = names.map((name) => tokenizer.encode(`${readFileSync(join(folder, name), 'utf8')}\n\n`));
  }

  /** `length` tokens: texts joined from the `first`-th on, around and around where one round is too short. */
  document(length: number, first = 0): number[] {
    const tokens: number[] = [];
    for (let i = first; tokens.length < length; i++) tokens.push(...this.sources[i % this.sources.length]!);
    return tokens.slice(0, length);
  }

  /** `count` different questions; each follows a document directly. */
  questions(count: number): number[][] {
    return Array.from({ length: count }, (_, i) => {
      const again = Math.floor(i / QUESTIONS.length);
      const part = again === 0 ? '' : ` in part ${again + 1}`;
      return this.tokenizer.encode(`\n\nQuestion${part}: ${QUESTIONS[i % QUESTIONS.length]}\nAnswer:`);
    });
  }

  encode(text: string): number[] {
    return this.tokenizer.encode(text);
  }
}
