import { Module } from '@nestjs/common';
import { ChatCompletionsController } from './chat-completions.controller.js';
import { CompletionJobs } from './completion-jobs.service.js';
import { Completions } from './completions.service.js';
import { TextCompletionsController } from './text-completions.controller.js';

@Module({
  controllers: [ChatCompletionsController, TextCompletionsController],
  providers: [Completions, CompletionJobs],
})
export class CompletionsModule {}
