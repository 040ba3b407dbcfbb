import type { PlannedItem } from '@app/batches';
import type { TokenBias } from '@app/inference';

/** What an item asks to make likelier or less likely; undefined for nothing. */
export function tokenBias(request: PlannedItem['request']): TokenBias | undefined {
  const { logit_bias: bias = {}, frequency_penalty: frequency = 0, presence_penalty: presence = 0 } = request;
  const tokens = Object.entries(bias).map(([token, add]) => [Number(token), add] as const);
  return tokens.length === 0 && frequency === 0 && presence === 0 ? undefined : { tokens, frequency, presence };
}
