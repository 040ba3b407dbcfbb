/** A document that the service has. */
export interface UploadedDocument {
  readonly name: string;
  readonly fileId: string;
}

/** What is the same for every item. */
export interface AnswerOptions {
  readonly model: string;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly system?: string;
}

/** The lines of a batch file that ask each question of each document: `custom_id` is `<document>#<number of the question>`. */
export function questionLines(
  documents: readonly UploadedDocument[],
  questions: readonly string[],
  { model, maxTokens, temperature, system }: AnswerOptions,
): string[] {
  return documents.flatMap(({ name, fileId }) =>
    questions.map((question, i) =>
      JSON.stringify({
        custom_id: `${name}#${i + 1}`,
        method: 'POST',
        url: '/v1/chat/completions',
        body: {
          model,
          temperature,
          max_completion_tokens: maxTokens,
          messages: [
            ...(system === undefined ? [] : [{ role: 'system', content: system }]),
            {
              role: 'user',
              content: [
                { type: 'file', file: { file_id: fileId } },
                { type: 'text', text: question },
              ],
            },
          ],
        },
      }),
    ),
  );
}
