import {
  type AnsweredPrompt,
  parseTextCompletion,
  TextCompletionDto,
  textCompletionBody,
  textLogprobs,
  totalUsage,
} from '@app/batches';
import { Config } from '@app/config';
import { Body, Controller, HttpCode, Post, Query, Req, Res, UseGuards } from '@nestjs/common';
import { ApiBody, ApiTags } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { NoFieldsDto } from '../errors/no-fields.dto.js';
import { JsonBodyGuard } from '../errors/validation.js';
import { type CompletionEndpoint, Completions } from './completions.service.js';
import { type ChunkFormat, chunkFrame } from './stream-chunks.js';

/** OpenAI's older endpoint: text goes on, without roles or a chat template. */
@ApiTags('Completions')
@Controller('v1/completions')
export class TextCompletionsController {
  private readonly endpoint: CompletionEndpoint = {
    kind: 'text',
    idPrefix: 'cmpl',
    read: (body) => {
      const { prompt, ...request } = parseTextCompletion(body);
      return { ...request, items: prompt.length };
    },
    body: (id, items) => textCompletionBody(id, items as AnsweredPrompt[]),
    chunks: (id, includeUsage) => this.chunks(id, includeUsage),
  };

  constructor(
    private readonly config: Config,
    private readonly completions: Completions,
  ) {}

  /** Goes on with a text, whole or as server-sent events. */
  @Post()
  @ApiBody({ type: TextCompletionDto })
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

  /** OpenAI's `text_completion` in parts. */
  private chunks(id: string, includeUsage: boolean): ChunkFormat {
    const lengths: number[] = [];
    const chunk = chunkFrame(this.config, 'text_completion', id, includeUsage);
    return {
      begin: () => undefined,
      grow: (index, { text, logprobs }) => {
        const offset = lengths[index] ?? 0;
        lengths[index] = offset + text.length;
        const entries = logprobs.length > 0 ? textLogprobs(logprobs, offset) : null;
        return chunk([{ index, text, logprobs: entries, finish_reason: null }]);
      },
      end: (index, finish_reason) => chunk([{ index, text: '', logprobs: null, finish_reason }]),
      usage: (bodies) => (includeUsage ? chunk([], totalUsage(bodies as AnsweredPrompt[])) : undefined),
    };
  }
}
