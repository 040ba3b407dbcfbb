import type { TextMessage } from '@app/batches';
import { ChatTemplateError, type GgufModel, TokenEnds } from '@app/gguf-model';

/** The model's chat template does not take these messages; the message says why, to clients. */
export class RefusedMessagesError extends Error {
  override readonly name = 'RefusedMessagesError';
}

/** Encodes prompts with the tokenizer and the chat template of a model file; blocks whoever calls. */
export class ModelPrompts {
  private readonly ends: TokenEnds;

  constructor(private readonly model: GgufModel) {
    this.ends = new TokenEnds(model.tokenizer);
  }

  /** @throws RefusedMessagesError where the template refuses the messages */
  encode(messages: readonly TextMessage[]): Int32Array {
    // OpenAI renamed `system` to `developer`; templates know the old name.
    const known = messages.map(({ role, content }) => ({ role: role === 'developer' ? 'system' : role, content }));
    try {
      return Int32Array.from(this.model.chatTemplate.encodeChat(known, { addGenerationPrompt: true }));
    } catch (error) {
      throw error instanceof ChatTemplateError ? new RefusedMessagesError(error.problem) : error;
    }
  }

  encodeText(text: string): Int32Array {
    const { tokenizer } = this.model;
    const bos = tokenizer.addBos && tokenizer.bosToken !== undefined ? [tokenizer.bosToken] : [];
    return Int32Array.from([...bos, ...tokenizer.encode(text)]);
  }

  tokenEnds(text: string): Uint32Array {
    return this.ends.of(text);
  }
}
