import type { SeededRandom } from './seeded-random.js';
import { type Split, splitOf } from './splits.js';

const FIRST_WORDS = (
  'amber ancient autumn bitter brave bright broken calm clever copper crimson distant dusty early emerald empty ' +
  'faithful frozen gentle golden hidden hollow humble ivory jolly lonely lucky marble mellow misty noble northern ' +
  'patient polished proud quiet rapid restless rusty sandy scarlet secret silent silver simple sleepy solemn southern ' +
  'stormy sturdy sunny swift tender thirsty velvet violet wandering western winter wooden'
).split(' ');
const SECOND_WORDS = (
  'acorn anchor badger barrel basket beacon bell bridge candle canyon castle cedar chapel cherry cliff clover compass ' +
  'cottage dolphin donkey engine falcon feather ferry garden glacier hammer harbor hazel heron island kettle ladder ' +
  'lantern lemon lizard maple meadow mirror needle orchard otter parrot pebble pigeon pillow pine prairie rabbit ribbon ' +
  'river saddle sparrow spoon thistle timber tower tulip turtle valley walnut whistle window'
).split(' ');
const CONSONANTS = 'BDFGKLMNPRSTVZ';
const VOWELS = 'AEIOU';
const LEAST_NUMBER = 100_000;
const NUMBERS = 900_000;

/** Names and numbers to plant: all of one split, none twice, none that the documents hold already. */
export class FactNames {
  private readonly used = new Set<string>();

  constructor(
    private readonly random: SeededRandom,
    private readonly split: Split,
    private readonly documents: readonly string[],
  ) {}

  /** Two words, such as `amber falcon`. */
  key(): string {
    return this.fresh(() => `${this.random.pick(FIRST_WORDS)} ${this.random.pick(SECOND_WORDS)}`);
  }

  /** Six digits, the first not 0. */
  number(): string {
    return this.fresh(() => String(LEAST_NUMBER + this.random.below(NUMBERS)));
  }

  /** A made-up name of four capitals, such as `KIVO`. */
  variable(): string {
    return this.fresh(() => `${this.syllable()}${this.syllable()}`);
  }

  private syllable(): string {
    return CONSONANTS[this.random.below(CONSONANTS.length)]! + VOWELS[this.random.below(VOWELS.length)]!;
  }

  private fresh(draw: () => string): string {
    for (;;) {
      const name = draw();
      if (splitOf(name) !== this.split || this.used.has(name)) continue;
      if (this.documents.some((document) => document.includes(name))) continue;
      this.used.add(name);
      return name;
    }
  }
}
