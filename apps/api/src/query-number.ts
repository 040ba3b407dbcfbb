import type { TransformFnParams } from 'class-transformer';

/** For `@Transform`: the number that a query or a multipart form spells in digits; anything else stays for the validator. */
export const asNumber = ({ value }: TransformFnParams): unknown =>
  typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value;
