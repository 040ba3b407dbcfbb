import type { PlannedItem } from '@app/batches';
import type { JsonFormat } from '@app/inference';

/** What JSON an item's answer must be; undefined for any text. */
export function jsonFormat({ response_format: format }: PlannedItem['request']): JsonFormat | undefined {
  if (format === undefined || format.type === 'text') return undefined;
  if (format.type === 'json_object') return { schema: '{"type":"object"}', strict: false };
  const { schema, strict = false } = format.json_schema;
  return { schema: JSON.stringify(schema), strict };
}
