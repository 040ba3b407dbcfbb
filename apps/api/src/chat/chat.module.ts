import { Module } from '@nestjs/common';
import { ChatController } from './chat.controller.js';
import { ChatCompletionsService } from './chat-completions.service.js';

@Module({ controllers: [ChatController], providers: [ChatCompletionsService] })
export class ChatModule {}
