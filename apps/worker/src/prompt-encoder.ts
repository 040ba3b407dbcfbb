import { ApiError, type PromptEncoder, type TextEncoder, type TextMessage } from '@app/batches';
import type { Config } from '@app/config';
import { ChatTemplateError, GgufModel, TokenEnds } from '@app/gguf-model';

/** Injection token of the encoder of prompts (`PromptEncoder`). */
export const PROMPT_ENCODER = Symbol('PROMPT_ENCODER');

/**
 * The encoder of the configured model; reads its header only. Throws `GgufError` where the model cannot be used, one whose
 * chat template is missing or refuses even a plain question included: no request could ever be encoded.
 */
export async function openPromptEncoder({ modelPath }: Config): Promise<ModelPromptEncoder> {
  const model = await GgufModel.open(modelPath);
  await model.close();
  model.chatTemplate.render([{ role: 'user', content: 'Hello' }], { addGenerationPrompt: true });
  return new ModelPromptEncoder(model);
}

const LINE_FEED = 0x0a;

/** Encodes prompts with the tokenizer and the chat template of the model file. */
export class ModelPromptEncoder implements PromptEncoder, TextEncoder {
  readonly contextLength: number;
  readonly vocabularySize: number;
  private readonly ends: TokenEnds;

  constructor(private readonly model: GgufModel) {
    this.contextLength = model.hyperparameters.contextLength;
    this.vocabularySize = model.tokenizer.vocabularySize;
    this.ends = new TokenEnds(model.tokenizer);
  }

  encodeText(text: string): Int32Array {
    const { tokenizer } = this.model;
    const bos = tokenizer.addBos && tokenizer.bosToken !== undefined ? [tokenizer.bosToken] : [];
    return Int32Array.from([...bos, ...tokenizer.encode(text)]);
  }

  tokenEnds(text: string): Uint32Array {
    return this.ends.of(text);
  }

  /** Whether a token's text ends a line. */
  readonly endsLine = (token: number): boolean => this.model.tokenizer.tokenBytes(token).at(-1) === LINE_FEED;

  async encode(messages: readonly TextMessage[]): Promise<Int32Array> {
    // OpenAI renamed `system` to `developer`; templates know the old name.
    const known = messages.map(({ role, content }) => ({ role: role === 'developer' ? 'system' : role, content }));
    try {
      return Int32Array.from(this.model.chatTemplate.encodeChat(known, { addGenerationPrompt: true }));
    } catch (error) {
      if (!(error instanceof ChatTemplateError)) throw error;
      throw ApiError.invalid(`The model cannot be given these messages: ${error.problem}`, 'messages');
    }
  }
}
