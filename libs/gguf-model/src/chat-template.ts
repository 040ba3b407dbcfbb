import { Template } from '@huggingface/jinja';
import { ControlTokenSplitter } from './control-token-splitter.js';
import { ChatTemplateError, MissingChatTemplateError } from './errors.js';
import type { Tokenizer } from './tokenizer.js';
import type { Vocabulary } from './vocabulary.js';

/** One message of a conversation, in the shape the template sees. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

export interface ChatOptions {
  /** Ends the prompt with the start of the assistant's turn. */
  readonly addGenerationPrompt: boolean;
}

/**
 * Roles a message may have. A template may write the role inside a control token (`<|` + role + `|>`), so a free choice
 * would let a message write one.
 */
export const CHAT_ROLES: readonly string[] = ['system', 'developer', 'user', 'assistant', 'tool'];

/** The model's Jinja chat template: messages to prompt. */
export interface ChatTemplate {
  /**
   * The prompt as text, for people to read. To encode it use {@link encodeChat}: in the text a control token of the
   * template and one that a message merely mentions look alike.
   */
  render(messages: readonly ChatMessage[], options: ChatOptions): string;
  /**
   * Token ids of the prompt. Control tokens are recognised only in what the template wrote: a message that contains
   * `<|im_end|>` cannot end its turn. Starts with BOS exactly once where the model asks for it.
   * Both throw {@link MissingChatTemplateError}, and {@link ChatTemplateError} when the template refuses the messages.
   */
  encodeChat(messages: readonly ChatMessage[], options: ChatOptions): number[];
}

/** The template `source`; without one the first use throws, so that the model can still be opened. */
export function buildChatTemplate(
  source: string | undefined,
  vocabulary: Vocabulary,
  tokenizer: Tokenizer,
): ChatTemplate {
  return new JinjaChatTemplate(source, vocabulary, tokenizer);
}

class JinjaChatTemplate implements ChatTemplate {
  private readonly control: ControlTokenSplitter;
  private parsed: Template | undefined;

  constructor(
    private readonly source: string | undefined,
    private readonly vocabulary: Vocabulary,
    private readonly tokenizer: Tokenizer,
  ) {
    this.control = new ControlTokenSplitter(vocabulary.controlTokens);
  }

  render(messages: readonly ChatMessage[], options: ChatOptions): string {
    const template = this.template();
    for (const { role } of messages) {
      if (!CHAT_ROLES.includes(role)) throw this.refused(`a message of role ${JSON.stringify(role)}`);
    }
    const { tokens, bosToken, eosToken } = this.vocabulary;
    try {
      // raise_exception and strftime_now are globals of the package
      return template.render({
        messages: messages.map(({ role, content }) => ({ role, content })),
        add_generation_prompt: options.addGenerationPrompt,
        bos_token: bosToken === undefined ? '' : tokens[bosToken],
        eos_token: eosToken === undefined ? '' : tokens[eosToken],
      });
    } catch (error) {
      throw this.refused(error instanceof Error ? error.message : String(error));
    }
  }

  encodeChat(messages: readonly ChatMessage[], options: ChatOptions): number[] {
    const breaker = this.unusedCharacter(messages);
    const broken = messages.map(({ role, content }) => ({ role, content: this.control.breakTokens(content, breaker) }));
    const ids = this.control.encode(this.render(broken, options), (run) =>
      this.tokenizer.encode(run.replaceAll(breaker, '')),
    );
    const { addBos, bosToken } = this.vocabulary;
    return addBos && bosToken !== undefined && ids[0] !== bosToken ? [bosToken, ...ids] : ids;
  }

  /** A noncharacter (U+FDD0 to U+FDEF, never assigned) that occurs in no message: it marks broken control tokens. */
  private unusedCharacter(messages: readonly ChatMessage[]): string {
    for (let code = 0xfdd0; code <= 0xfdef; code++) {
      const character = String.fromCharCode(code);
      if (!this.source?.includes(character) && !messages.some(({ content }) => content.includes(character))) {
        return character;
      }
    }
    throw new ChatTemplateError({
      where: this.vocabulary.path,
      expected: 'messages without at least one of the 32 noncharacters U+FDD0 to U+FDEF',
      found: 'all of them',
      advice: 'These are not text: clean the document.',
    });
  }

  private template(): Template {
    if (this.parsed !== undefined) return this.parsed;
    if (this.source === undefined) {
      throw new MissingChatTemplateError({
        where: this.vocabulary.path,
        expected: 'a chat template (metadata key tokenizer.chat_template)',
        found: 'none',
        advice: 'Choose an instruction-tuned model, or add the template with gguf_new_metadata.py of llama.cpp.',
      });
    }
    try {
      this.parsed = new Template(this.source);
    } catch (error) {
      throw new ChatTemplateError({
        where: this.vocabulary.path,
        expected: 'a chat template in Jinja',
        found: `one that does not parse: ${error instanceof Error ? error.message : String(error)}`,
        advice: 'Choose another conversion of the model.',
      });
    }
    return this.parsed;
  }

  private refused(found: string): ChatTemplateError {
    return new ChatTemplateError({
      where: `chat template of ${this.vocabulary.path}`,
      expected: `messages it accepts, of the roles ${CHAT_ROLES.join(', ')}`,
      found,
      advice: 'Check the order and the roles of the messages: some models want user and assistant in turn.',
    });
  }
}
