import {
  ContextOverflowError,
  EngineAbortedError,
  KvMemoryExceededError,
  UnknownCacheError,
  UnusableSchemaError,
} from './engine-errors.js';
import type { AnswerPiece, EngineModel, EnginePort } from './engine-port.js';

/** Calls that cross to the engine's thread. */
export type EngineMethod = 'prefill' | 'generate' | 'release' | 'store' | 'restore' | 'close';

/** From the worker's main thread to the engine's. */
export type EngineRequest =
  | {
      readonly kind: 'call';
      readonly id: number;
      readonly method: EngineMethod;
      readonly argument: unknown;
      /** Whether `piece` replies are wanted. */
      readonly pieces: boolean;
    }
  | { readonly kind: 'abort'; readonly id: number };

/** From the engine's thread to the worker's main thread. */
export type EngineReply =
  | { readonly kind: 'ready'; readonly model: EngineModel }
  | { readonly kind: 'failed'; readonly error: PlainError }
  | { readonly kind: 'piece'; readonly id: number; readonly piece: AnswerPiece }
  | { readonly kind: 'result'; readonly id: number; readonly result: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: PlainError };

/** An error as it crosses between threads: cloning would lose its class. */
export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export function toPlainError(error: unknown): PlainError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), fields: {} };
  return { name: error.name, message: error.message, fields: { ...error } };
}

/** Errors that callers tell apart by class; all others come back as Error with name and message kept. */
const REVIVE: Readonly<Record<string, (fields: Readonly<Record<string, unknown>>) => Error>> = {
  ContextOverflowError: (f) =>
    new ContextOverflowError(f['contextLength'] as number, f['promptTokens'] as number, f['maxTokens'] as number),
  EngineAbortedError: () => new EngineAbortedError(),
  KvMemoryExceededError: (f) =>
    new KvMemoryExceededError(
      f['what'] as KvMemoryExceededError['what'],
      f['tokens'] as number,
      f['neededBytes'] as number,
      f['limitBytes'] as number,
    ),
  UnusableSchemaError: () => new UnusableSchemaError(),
  UnknownCacheError: (f) => new UnknownCacheError(f['handle'] as number),
};

export function fromPlainError({ name, message, fields }: PlainError): Error {
  return REVIVE[name]?.(fields) ?? Object.assign(new Error(message), { name });
}

/** Runs a call of the port by name. */
export function callEngine(
  engine: EnginePort,
  method: EngineMethod,
  argument: unknown,
  signal: AbortSignal,
  onPiece: ((piece: AnswerPiece) => void) | undefined,
): Promise<unknown> {
  const call = engine[method] as (argument: unknown, signal: AbortSignal, onPiece: unknown) => Promise<unknown>;
  return call.call(engine, argument, signal, onPiece);
}
