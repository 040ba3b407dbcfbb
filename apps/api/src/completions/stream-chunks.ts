import { type ChatBody, systemFingerprint } from '@app/batches';
import type { Config } from '@app/config';
import type { Progress } from './completion-jobs.service.js';
import { GrowingChoice, type Growth } from './growing-choice.js';

/** How the chunks of an endpoint look. `choice` counts over all items. */
export interface ChunkFormat {
  /** Opens a choice. */
  begin(choice: number): object | undefined;
  grow(choice: number, growth: Growth): object;
  end(choice: number, finishReason: string): object;
  /** The last chunk; undefined where usage was not asked for. */
  usage(bodies: readonly unknown[]): object | undefined;
}

/** What all chunks of one stream have in common, around their choices; `usage` only where it was asked for. */
export function chunkFrame(
  { modelId, precision }: Pick<Config, 'modelId' | 'precision'>,
  object: string,
  id: string,
  includeUsage: boolean,
): (choices: readonly object[], usage?: unknown) => object {
  const created = Math.floor(Date.now() / 1000);
  const system_fingerprint = systemFingerprint(modelId, precision);
  return (choices, usage = null) => ({
    id,
    object,
    created,
    model: modelId,
    system_fingerprint,
    choices,
    ...(includeUsage && { usage }),
  });
}

/** Turns the progress of a completion into chunks; undefined where there is nothing to say yet. */
export async function* streamChunks(
  progress: AsyncGenerator<Progress, unknown[]>,
  format: ChunkFormat,
): AsyncGenerator<object | undefined> {
  const choices = new Map<number, GrowingChoice>();
  const told = function* (choice: number, growth: (growing: GrowingChoice) => Growth) {
    let growing = choices.get(choice);
    if (!growing) {
      growing = new GrowingChoice();
      choices.set(choice, growing);
      const begin = format.begin(choice);
      if (begin) yield begin;
    }
    const grown = growth(growing);
    if (grown.text !== '' || grown.logprobs.length > 0) yield format.grow(choice, grown);
  };
  try {
    for (;;) {
      const { value, done } = await progress.next();
      if (done) {
        const all = (value as ChatBody[]).flatMap((body) => body.choices);
        for (const [choice, { message, logprobs, finish_reason }] of all.entries()) {
          yield* told(choice, (growing) => growing.end(message.content, logprobs?.content ?? []));
          yield format.end(choice, finish_reason);
        }
        const usage = format.usage(value);
        if (usage) yield usage;
        return;
      }
      if (value === undefined) yield undefined;
      else yield* told(value.choice, (growing) => growing.grow(value));
    }
  } finally {
    // Ends the work where the client has gone.
    await progress.return([]);
  }
}
