/** The client named a policy that does not exist. */
export class UnknownPolicyError extends Error {
  override readonly name = 'UnknownPolicyError';
  constructor(
    readonly policy: string,
    readonly known: readonly string[],
  ) {
    super(`Expected a compression policy of ${known.join(', ')}, found '${policy}'. Name one of these.`);
  }
}

/** The kept share of the cache is no number above 0 and at most 1. */
export class InvalidBudgetError extends Error {
  override readonly name = 'InvalidBudgetError';
  constructor(readonly budget: unknown) {
    const found = typeof budget === 'number' ? String(budget) : (JSON.stringify(budget) ?? typeof budget);
    super(
      `Expected a compression budget above 0 and at most 1 (0.35 keeps 35 % of the cache), found ${found}. ` +
        'Give a number in that range.',
    );
  }
}

/** The client named a scoring that does not exist. */
export class InvalidScoringError extends Error {
  override readonly name = 'InvalidScoringError';
  constructor(
    readonly scoring: unknown,
    readonly known: readonly string[],
  ) {
    super(
      `Expected a scoring of ${known.join(', ')}, found ${JSON.stringify(scoring)}. Name one of these or leave it out.`,
    );
  }
}

/** A numeric setting of a policy is out of its range. */
export class InvalidPolicyNumberError extends Error {
  override readonly name = 'InvalidPolicyNumberError';
  constructor(
    readonly option: string,
    readonly range: string,
    readonly found: unknown,
  ) {
    super(`Expected a ${option} ${range}, found ${String(found)}. Give a number in that range or leave it out.`);
  }
}

/** The client named a way of counting merged tokens that does not exist. */
export class InvalidMassModeError extends Error {
  override readonly name = 'InvalidMassModeError';
  constructor(
    readonly mass: unknown,
    readonly known: readonly string[],
  ) {
    super(
      `Expected a mass mode of ${known.join(', ')}, found ${JSON.stringify(mass)}. Name one of these or leave it out.`,
    );
  }
}
