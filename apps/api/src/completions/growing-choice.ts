import { ApiError } from '@app/batches';
import type { StreamedPiece } from '@app/results';

/** What a choice has grown by. */
export interface Growth {
  readonly text: string;
  readonly logprobs: readonly unknown[];
}

/**
 * What the client was told of one choice. A worker that takes over from one that was lost tells it all again, from the
 * beginning: of that only what is new is passed on.
 */
export class GrowingChoice {
  private text = '';
  private logprobs = 0;

  /** @throws ApiError where it goes on otherwise than it began */
  grow({ at, text, logprobsAt, logprobs }: Omit<StreamedPiece, 'choice'>): Growth {
    // A piece that is missing before this one comes with the end.
    if (at > this.text.length || logprobsAt > this.logprobs) return { text: '', logprobs: [] };
    const known = this.text.slice(at, at + text.length);
    if (!text.startsWith(known)) throw answerRestarted();
    return this.add(text.slice(known.length), logprobs.slice(this.logprobs - logprobsAt));
  }

  /**
   * What is left of the whole answer.
   * @throws ApiError where it is otherwise than what was told
   */
  end(text: string, logprobs: readonly unknown[]): Growth {
    if (!text.startsWith(this.text)) throw answerRestarted();
    return this.add(text.slice(this.text.length), logprobs.slice(this.logprobs));
  }

  private add(text: string, logprobs: readonly unknown[]): Growth {
    this.text += text;
    this.logprobs += logprobs.length;
    return { text, logprobs };
  }
}

const answerRestarted = (): ApiError =>
  ApiError.server(
    500,
    'The worker was lost while it answered, and the one that took over answers otherwise. Ask again.',
    'answer_restarted',
  );
