/** The documents hold fewer tokens than one task needs. */
export class TooLittleTextError extends Error {
  override readonly name = 'TooLittleTextError';

  constructor(wanted: number, found: number) {
    super(
      `Documents of more than ${wanted} tokens are needed, found ${found}: pass more documents or a smaller length.`,
    );
  }
}

/** No text of the wanted length can be put together: the facts alone are longer, or one word is more than 2 % of it. */
export class UnfitLengthError extends Error {
  override readonly name = 'UnfitLengthError';

  constructor(task: string, length: number, found: string) {
    super(`A context of ${task} within 2 % of ${length} tokens is needed, found ${found}: choose a greater length.`);
  }
}

/** A seed outside its split's range would repeat tasks of the other split. */
export class SeedOutOfRangeError extends Error {
  override readonly name = 'SeedOutOfRangeError';

  constructor(split: string, seed: number, seeds: number) {
    super(`A seed for ${split} must be an integer from 0 to ${seeds - 1}, found ${seed}: choose a smaller one.`);
  }
}
