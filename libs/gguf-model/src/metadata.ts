import { GgufMetadataError } from './errors.js';

/** Typed reading of GGUF metadata: a key that is missing or of the wrong type becomes one clear error. */
export class Metadata {
  constructor(
    readonly path: string,
    private readonly values: Readonly<Record<string, unknown>>,
  ) {}

  has(key: string): boolean {
    return Object.hasOwn(this.values, key);
  }

  string(key: string): string | undefined {
    return this.optional(key, 'a string', (value) => (typeof value === 'string' ? value : undefined));
  }

  boolean(key: string): boolean | undefined {
    return this.optional(key, 'true or false', (value) => (typeof value === 'boolean' ? value : undefined));
  }

  /** A finite number. */
  number(key: string): number | undefined {
    return this.optional(key, 'a finite number', asNumber);
  }

  /** A whole number from `least` to `most`; per-layer arrays are accepted when every layer has the same. */
  count(key: string, least: number, most: number): number | undefined {
    return this.optional(key, `a whole number from ${least} to ${most}, the same for every layer`, (value) => {
      const first = asNumber(Array.isArray(value) ? value[0] : value);
      if (Array.isArray(value) && !value.every((each) => asNumber(each) === first)) return undefined;
      return first !== undefined && Number.isInteger(first) && first >= least && first <= most ? first : undefined;
    });
  }

  strings(key: string): readonly string[] | undefined {
    return this.optional(key, 'an array of strings', (value) =>
      Array.isArray(value) && value.every((each) => typeof each === 'string') ? (value as string[]) : undefined,
    );
  }

  numbers(key: string): readonly number[] | undefined {
    return this.optional(key, 'an array of numbers', (value) =>
      Array.isArray(value) && value.every((each) => typeof each === 'number') ? (value as number[]) : undefined,
    );
  }

  /** `value`, or an error that says the key is missing. */
  required<T>(key: string, value: T | undefined): T {
    if (value !== undefined) return value;
    throw new GgufMetadataError({
      where: this.path,
      expected: `metadata key ${key}`,
      found: 'none',
      advice: 'The file is not a complete language model: convert or download it again.',
    });
  }

  private optional<T>(key: string, expected: string, read: (value: unknown) => T | undefined): T | undefined {
    if (!this.has(key)) return undefined;
    const value = read(this.values[key]);
    if (value !== undefined) return value;
    throw new GgufMetadataError({
      where: this.path,
      expected: `${key} to be ${expected}`,
      found: describe(this.values[key]),
      advice: 'The file is damaged or uses a feature that is not supported.',
    });
  }
}

function asNumber(value: unknown): number | undefined {
  const number = typeof value === 'bigint' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined;
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return `an array of ${value.length} (${value.slice(0, 4).join(', ')} ...)`;
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 80 ? `${text.slice(0, 80)} ...` : text;
}
