import { ChatCompletionDto, parseChatCompletion } from '@app/batches';
import { Config } from '@app/config';
import { Body, Controller, HttpCode, Post, Query, Req, Res, UseGuards } from '@nestjs/common';
import { ApiBody, ApiTags } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { NoFieldsDto } from '../errors/no-fields.dto.js';
import { JsonBodyGuard } from '../errors/validation.js';
import { type CompletionEndpoint, Completions } from './completions.service.js';
import { type ChunkFormat, chunkFrame } from './stream-chunks.js';

@ApiTags('Chat completions')
@Controller('v1/chat/completions')
export class ChatCompletionsController {
  private readonly endpoint: CompletionEndpoint = {
    kind: 'chat',
    idPrefix: 'chatcmpl',
    read: (body) => ({ ...parseChatCompletion(body), items: 1 }),
    body: (_id, [body]) => body,
    chunks: (id, includeUsage) => this.chunks(id, includeUsage),
  };

  constructor(
    private readonly config: Config,
    private readonly completions: Completions,
  ) {}

  /** Answers a chat, whole or as server-sent events. */
  @Post()
  @ApiBody({ type: ChatCompletionDto })
  @UseGuards(JsonBodyGuard)
  @HttpCode(200)
  async create(
    @Body() body: object,
    @Query() _query: NoFieldsDto,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    await this.completions.answer(this.endpoint, body, request, response);
  }

  /** OpenAI's `chat.completion.chunk`. */
  private chunks(id: string, includeUsage: boolean): ChunkFormat {
    const chunk = chunkFrame(this.config, 'chat.completion.chunk', id, includeUsage);
    const choice = (index: number, delta: object, logprobs: object | null, finish_reason: string | null) =>
      chunk([{ index, delta, logprobs, finish_reason }]);
    return {
      begin: (index) => choice(index, { role: 'assistant', content: '', refusal: null }, null, null),
      grow: (index, { text, logprobs }) =>
        choice(index, { content: text }, logprobs.length > 0 ? { content: logprobs, refusal: null } : null, null),
      end: (index, finishReason) => choice(index, {}, null, finishReason),
      usage: ([body]) => {
        if (!includeUsage) return undefined;
        const { usage, parts } = body as { usage: object; parts?: object };
        return { ...chunk([], usage), ...(parts && { parts }) };
      },
    };
  }
}
