import type { ChatTemplate } from './chat-template.js';

/** Stands for the user's message in a rendered template; no template contains it. */
const MESSAGE = '\uFDD0message\uFDD0';

/**
 * What the template writes after a user's message: the end of the turn and, if asked for, the start of the assistant's.
 * @throws MissingChatTemplateError, ChatTemplateError
 */
export function afterMessage(chatTemplate: ChatTemplate, addGenerationPrompt: boolean): string {
  const rendered = chatTemplate.render([{ role: 'user', content: MESSAGE }], { addGenerationPrompt });
  return rendered.slice(rendered.lastIndexOf(MESSAGE) + MESSAGE.length);
}
