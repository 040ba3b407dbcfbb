import { Body, Controller, Post, Res, UseGuards } from '@nestjs/common';
import type { Response } from 'express';
import { JsonBodyGuard } from '../errors/validation.js';
import { ChatCompletionsService } from './chat-completions.service.js';

@Controller('v1/chat/completions')
export class ChatController {
  constructor(private readonly completions: ChatCompletionsService) {}

  @Post()
  @UseGuards(JsonBodyGuard)
  async create(@Body() request: object, @Res({ passthrough: true }) response: Response) {
    const { status, body } = await this.completions.complete(request);
    response.status(status);
    return body;
  }
}
