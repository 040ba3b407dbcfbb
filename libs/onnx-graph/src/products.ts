import type { ExternalTensor, GraphBuilder, Value } from './graph-builder.js';
import type { LinearWeight } from './llama-description.js';

/** Activations are quantised to int8 in the same blocks, which is what makes 8-bit weights fast on a CPU. */
const ACCURACY_INT8 = 4;

/** The unsigned code of zero: unsigned activations times signed weights is what the runtime multiplies fastest, where it can (`unsignedWeights`). */
const ZERO_POINT = 128;
/** Codes of activations on either side of zero. */
const CODES = 127;
/** What rounding to codes leaves is rounded to steps so much smaller. */
const FINER = 254;
/** Keeps the step of a token of zeros from being zero. */
const SMALLEST = 1e-30;

/**
 * What products with the same input multiply, `[1, n, columns]`. For `int8` weights it is quantised once for all of them, token
 * by token in two terms: value = step * (code + finer code / `FINER`). One term alone loses more than merging a cache does.
 */
export type Operand =
  | { readonly kind: 'float'; readonly value: Value }
  | {
      readonly kind: 'int8';
      /** uint8 `[1, n, columns]`, zero is `ZERO_POINT` */
      readonly codes: Value;
      readonly finerCodes: Value;
      /** float `[1, n, 1]` */
      readonly step: Value;
    };

/** Values that all products with `int8` weights of a graph share. */
interface Constants {
  /** uint8 `[n]` */
  readonly zeroPoints: Value;
  readonly zeroPoint: Value;
  readonly weightZero: Value;
  readonly one: Value;
  readonly perCode: Value;
  readonly perFinerCode: Value;
  readonly smallest: Value;
  readonly lastAxis: Value;
}

/** Matrix products with a model's weights, of whatever kind these are. */
export class Products {
  private constants: Constants | undefined;
  /** What was made of inputs for products with `block4` weights. */
  private readonly withSums = new Map<Value, Value>();
  private blocks: { readonly shape: Value; readonly axis: Value } | undefined;

  /** Weights as unsigned codes. */
  private readonly unsigned = new Map<Value, Value>();

  /**
   * @param tokens `[n]`, of which only the length counts
   * @param unsignedWeights whether `int8` weights are multiplied as unsigned codes
   */
  constructor(
    private readonly graph: GraphBuilder,
    private readonly tokens: Value,
    private readonly unsignedWeights = false,
  ) {}

  /** Prepares the input `[1, n, columns]` of products with weights of the kind of `weight`. */
  operand(name: string, value: Value, weight: LinearWeight): Operand {
    const { graph } = this;
    if (weight.kind !== 'int8') return { kind: 'float', value };
    const { lastAxis, perCode, perFinerCode, smallest, zeroPoints } = this.shared();
    const reduce = (operator: string) =>
      graph.node(`${name}/${operator}`, operator, [value, lastAxis], { attributes: { keepdims: 1 } });
    const lowest = graph.node(`${name}/Neg`, 'Neg', [reduce('ReduceMin')]);
    const largest = graph.node(`${name}/Max`, 'Max', [reduce('ReduceMax'), lowest, smallest]);
    const step = graph.node(`${name}/step`, 'Mul', [largest, perCode]);
    const steps = graph.node(`${name}/steps`, 'Reshape', [step, lastAxis]);
    const finerSteps = graph.node(`${name}/finer_steps`, 'Mul', [steps, perFinerCode]);
    const perToken = { attributes: { axis: 1 } };
    const codes = graph.node(`${name}/codes`, 'QuantizeLinear', [value, steps, zeroPoints], perToken);
    const coded = graph.node(`${name}/coded`, 'DequantizeLinear', [codes, steps, zeroPoints], perToken);
    const left = graph.node(`${name}/left`, 'Sub', [value, coded]);
    const finerCodes = graph.node(`${name}/finer_codes`, 'QuantizeLinear', [left, finerSteps, zeroPoints], perToken);
    return { kind: 'int8', codes, finerCodes, step };
  }

  /** `[1, n, columns]` x weights -> `[1, n, rows]`. */
  multiply(name: string, input: Operand, weight: LinearWeight, as?: string): Value {
    const { graph } = this;
    const named = as === undefined ? {} : { as };
    if (input.kind === 'int8' && weight.kind === 'int8') {
      const { one, perFinerCode } = this.shared();
      const coarse = this.integerProduct(`${name}/MatMulInteger`, input.codes, weight, one);
      const finer = this.integerProduct(`${name}/finer/MatMulInteger`, input.finerCodes, weight, perFinerCode);
      const product = graph.node(`${name}/Add`, 'Add', [coarse, finer]);
      return graph.node(`${name}/Mul`, 'Mul', [product, input.step], named);
    }
    if (input.kind === 'int8' || weight.kind === 'int8') {
      throw new TypeError(`Expected the input of ${name} to be prepared for its weights.`);
    }
    if (weight.kind === 'float') {
      return graph.node(`${name}/MatMul`, 'FusedMatMul', [input.value, graph.weight(weight.weight)], {
        domain: 'com.microsoft',
        attributes: { transB: 1 },
        ...named,
      });
    }
    const small = weight.kind === 'block4';
    const inputs = [
      small ? this.appendSums(input.value, weight.blockSize) : input.value,
      graph.weight(weight.quantised),
      graph.weight(weight.scales),
      ...(small ? [graph.weight(weight.zeroPoints)] : []),
    ];
    return graph.node(`${name}/MatMulNBits`, 'MatMulNBits', inputs, {
      domain: 'com.microsoft',
      attributes: {
        K: small ? weight.columns + weight.columns / weight.blockSize : weight.columns,
        N: weight.rows,
        bits: small ? 4 : 8,
        block_size: weight.blockSize,
        accuracy_level: ACCURACY_INT8,
      },
      ...named,
    });
  }

  /** `[1, n, columns]` -> the same and its sums over each block, `[1, n, columns + columns / blockSize]`. */
  private appendSums(value: Value, blockSize: number): Value {
    const { graph } = this;
    let extended = this.withSums.get(value);
    if (extended === undefined) {
      this.blocks ??= {
        shape: graph.integers('blocks/shape', [0, 0, -1, blockSize]),
        axis: graph.integers('blocks/axis', [-1]),
      };
      const blocks = graph.node(`${value}/blocks`, 'Reshape', [value, this.blocks.shape]);
      const sums = graph.node(`${value}/sums`, 'ReduceSum', [blocks, this.blocks.axis], {
        attributes: { keepdims: 0 },
      });
      extended = graph.node(`${value}/with_sums`, 'Concat', [value, sums], { attributes: { axis: 2 } });
      this.withSums.set(value, extended);
    }
    return extended;
  }

  private integerProduct(name: string, codes: Value, weight: LinearWeight & { kind: 'int8' }, step: Value): Value {
    const { graph } = this;
    const { zeroPoint, weightZero } = this.shared();
    const weights = this.unsignedWeights ? this.asUnsigned(weight.quantised) : graph.weight(weight.quantised);
    const inputs = [codes, weights, step, graph.weight(weight.scales), zeroPoint, weightZero];
    return graph.node(name, 'MatMulIntegerToFloat', inputs, { domain: 'com.microsoft' });
  }

  /** The same bytes with the first bit of each turned are codes around `ZERO_POINT`; done once, when a session is opened. */
  private asUnsigned(weight: ExternalTensor): Value {
    const { graph } = this;
    let codes = this.unsigned.get(weight.name);
    if (codes === undefined) {
      const bytes = graph.weight({ ...weight, type: 'uint8' });
      codes = graph.node(`${weight.name}/unsigned`, 'BitwiseXor', [bytes, this.shared().zeroPoint]);
      this.unsigned.set(weight.name, codes);
    }
    return codes;
  }

  private shared(): Constants {
    const { graph } = this;
    if (this.constants === undefined) {
      const zeroPoint = graph.byte('quantise/zero_point', 'uint8', ZERO_POINT);
      const count = graph.node('/quantise/count', 'Shape', [this.tokens]);
      this.constants = {
        zeroPoint,
        zeroPoints: graph.node('/quantise/zero_points', 'Expand', [zeroPoint, count]),
        weightZero: this.unsignedWeights ? zeroPoint : graph.byte('quantise/weight_zero', 'int8', 0),
        one: graph.float('quantise/one', 1),
        perCode: graph.float('quantise/per_code', 1 / CODES),
        perFinerCode: graph.float('quantise/per_finer_code', 1 / FINER),
        smallest: graph.float('quantise/smallest', SMALLEST),
        lastAxis: graph.integers('quantise/last_axis', [-1]),
      };
    }
    return this.constants;
  }
}
