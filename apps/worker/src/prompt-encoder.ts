import { ApiError, type PromptEncoder, type TextEncoder, type TextMessage } from '@app/batches';
import type { Config } from '@app/config';
import { GgufModel, type Tokenizer } from '@app/gguf-model';
import { ModelPrompts, RefusedMessagesError } from './model-prompts.js';
import { PromptThread } from './prompt-thread.js';

/** Injection token of the encoder of prompts (`ModelPromptEncoder`). */
export const PROMPT_ENCODER = Symbol('PROMPT_ENCODER');

/**
 * The encoder of the configured model; reads its header only. Throws `GgufError` where the model cannot be used, one whose
 * chat template is missing or refuses even a plain question included: no request could ever be encoded.
 * @param inThread whether to encode in a thread of its own, which only works where this runs as it was built
 */
export async function openPromptEncoder({ modelPath }: Config, inThread: boolean): Promise<ModelPromptEncoder> {
  const model = await GgufModel.open(modelPath);
  await model.close();
  model.chatTemplate.render([{ role: 'user', content: 'Hello' }], { addGenerationPrompt: true });
  return new ModelPromptEncoder(model, inThread ? new PromptThread(modelPath) : new ModelPrompts(model));
}

/** Encodes prompts with the tokenizer and the chat template of the model file. */
export class ModelPromptEncoder implements PromptEncoder, TextEncoder {
  readonly contextLength: number;
  readonly vocabularySize: number;
  /** Of each token, whether its text ends a line. */
  private readonly lineEnds: Uint8Array;

  constructor(
    { hyperparameters, tokenizer }: Pick<GgufModel, 'hyperparameters' | 'tokenizer'>,
    private readonly prompts: ModelPrompts | PromptThread,
  ) {
    this.contextLength = hyperparameters.contextLength;
    this.vocabularySize = tokenizer.vocabularySize;
    this.lineEnds = findLineEnds(tokenizer);
  }

  readonly endsLine = (token: number): boolean => this.lineEnds[token] === 1;

  async encode(messages: readonly TextMessage[]): Promise<Int32Array> {
    try {
      return await this.prompts.encode(messages);
    } catch (error) {
      if (!(error instanceof RefusedMessagesError)) throw error;
      throw ApiError.invalid(`The model cannot be given these messages: ${error.message}`, 'messages');
    }
  }

  async encodeText(text: string): Promise<Int32Array> {
    return this.prompts.encodeText(text);
  }

  async tokenEnds(text: string): Promise<Uint32Array> {
    return this.prompts.tokenEnds(text);
  }
}

const LINE_FEED = 0x0a;

function findLineEnds(tokenizer: Tokenizer): Uint8Array {
  return Uint8Array.from({ length: tokenizer.vocabularySize }, (_, token) =>
    tokenizer.tokenBytes(token).at(-1) === LINE_FEED ? 1 : 0,
  );
}
