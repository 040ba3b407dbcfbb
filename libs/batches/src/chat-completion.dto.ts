/** Placeholder of the shape only until validation decorators are written beside it. */
export interface ChatCompletionRequest {
  model: string;
  messages: ChatMessage[];
  max_completion_tokens?: number;
  max_tokens?: number;
  temperature?: number;
  top_p?: number;
  seed?: number;
  stop?: string | string[];
  logprobs?: boolean;
  top_logprobs?: number;
  compression?: { policy?: string; budget?: number };
}

export interface ChatMessage {
  role: 'system' | 'developer' | 'user' | 'assistant';
  content: string | ContentPart[];
}

export type ContentPart = { type: 'text'; text: string } | { type: 'file'; file: { file_id: string } };
