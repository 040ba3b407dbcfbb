/** What every error of this library says: where, what was expected, what was found, what to do. */
export interface GgufProblem {
  /** File the problem is in, or the name of what was being read. */
  readonly where: string;
  readonly expected: string;
  readonly found: string;
  readonly advice: string;
}

/** Base of every error of this library. The message is complete: show it to an operator as it is. */
export class GgufError extends Error {
  /** The message without `where`: for clients, who must not learn the server's paths. */
  readonly problem: string;

  constructor({ where, expected, found, advice }: GgufProblem) {
    const problem = `expected ${expected}, found ${found}. ${advice}`;
    super(`${where}: ${problem}`);
    this.name = new.target.name;
    this.problem = problem;
  }
}

/** The path cannot be read: it does not exist, is a directory, or may not be opened. */
export class GgufUnreadableError extends GgufError {}
/** The file is something else than GGUF (empty, text, ONNX, zip, pickle ...). */
export class NotGgufError extends GgufError {}
/** GGUF of a version or byte order that this library does not read. */
export class UnsupportedGgufVersionError extends GgufError {}
/** The file ends before what its header promises. */
export class TruncatedGgufError extends GgufError {}
/** A count or size in the header is beyond any real model: see the limits in header-scan.ts. */
export class GgufLimitError extends GgufError {}
/** Metadata is missing, of the wrong type, or contradicts itself. */
export class GgufMetadataError extends GgufError {}
/** `general.architecture` is not `llama`. */
export class UnsupportedArchitectureError extends GgufError {}
/** A mixture-of-experts model (`llama.expert_count` > 0). */
export class MixtureOfExpertsError extends GgufError {}
/** One part of a model that was split into several files. */
export class SplitGgufError extends GgufError {}
/** A RoPE scaling other than none, linear or `rope_freqs.weight`. */
export class UnsupportedRopeScalingError extends GgufError {}
/** A tokenizer other than byte-level BPE (SentencePiece, WordPiece ...). */
export class UnsupportedTokenizerError extends GgufError {}
/** `tokenizer.ggml.pre` names a pre-tokenizer that is not in the table. */
export class UnknownPreTokenizerError extends GgufError {}
/** A tensor is stored in a ggml type that has no dequantiser here. */
export class UnsupportedTensorTypeError extends GgufError {}
/** A tensor that the model needs is not in the file. */
export class MissingTensorError extends GgufError {}
/** A tensor that a plain llama model does not have: ignoring it would give wrong answers. */
export class UnexpectedTensorError extends GgufError {}
/** A tensor's shape contradicts the hyperparameters. */
export class TensorShapeError extends GgufError {}
/** The chat template does not parse, or refused the messages. */
export class ChatTemplateError extends GgufError {}
/** The model file has no chat template. */
export class MissingChatTemplateError extends ChatTemplateError {}
