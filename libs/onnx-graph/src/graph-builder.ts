import onnxProto, { type onnx } from 'onnx-proto';

const { DataType, DataLocation } = onnxProto.onnx.TensorProto;
const { AttributeType } = onnxProto.onnx.AttributeProto;

/** Element types that our graphs use, by their ONNX numbers. */
export const ELEMENT = {
  float: DataType.FLOAT,
  float16: DataType.FLOAT16,
  int64: DataType.INT64,
  int8: DataType.INT8,
  bool: DataType.BOOL,
  uint8: DataType.UINT8,
} as const;
export type ElementType = keyof typeof ELEMENT;

/** Names a value (edge) of the graph. */
export type Value = string;

/** A dimension: a number where it is fixed, a symbol where it varies from run to run. */
export type Dimension = number | string;

/** A weight that lies in a file beside the graph. */
export interface ExternalTensor {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly number[];
  /** File name, relative to the graph's folder. */
  readonly file: string;
  /** Position and length within the file, bytes. */
  readonly offset: number;
  readonly length: number;
}

/** Two nodes, weights or inputs were given the same name. */
export class DuplicateNameError extends Error {
  override readonly name = 'DuplicateNameError';
  constructor(duplicate: string) {
    super(`Expected every name of the graph to be used once, found '${duplicate}' twice.`);
  }
}

type Attribute = number | { readonly float: number } | string | readonly number[];

interface NodeOptions {
  /** Operator domain; ONNX's own when left out. */
  readonly domain?: 'com.microsoft';
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

const OPSET = 21;

/** Collects nodes, weights, inputs and outputs, and encodes them as an ONNX model. A name used twice throws. */
export class GraphBuilder {
  private readonly names = new Set<string>();
  private readonly weights = new Map<string, ExternalTensor>();
  private nodes: onnx.INodeProto[] = [];
  private readonly initializers: onnx.ITensorProto[] = [];
  private readonly inputs: onnx.IValueInfoProto[] = [];
  private readonly outputs: onnx.IValueInfoProto[] = [];

  constructor(private readonly graphName: string) {}

  /**
   * An input. Its shape is left out: from those of inputs the runtime infers those of most other values, and its memory planner
   * then compares every value with every one that is free again. With thousands of nodes a session takes seconds to open (4.5 s
   * instead of 0.7 with 3,500), and runs no faster for it.
   */
  input(name: string, type: ElementType): Value {
    this.claim(name);
    this.inputs.push(valueInfo(name, type));
    return name;
  }

  /** Makes `value` an output of the graph under the name it has. */
  output(value: Value, type: ElementType, dims: readonly Dimension[]): void {
    this.outputs.push(valueInfo(value, type, dims));
  }

  /** A weight that lies in a file; asking again for the same tensor (tied embeddings) gives the same value. */
  weight(tensor: ExternalTensor): Value {
    if (this.weights.get(tensor.name) === tensor) return tensor.name;
    this.claim(tensor.name);
    this.weights.set(tensor.name, tensor);
    const entry = (key: string, value: string | number) => ({ key, value: String(value) });
    this.initializers.push({
      name: tensor.name,
      dataType: ELEMENT[tensor.type],
      dims: [...tensor.dims],
      dataLocation: DataLocation.EXTERNAL,
      externalData: [entry('location', tensor.file), entry('offset', tensor.offset), entry('length', tensor.length)],
    });
    return tensor.name;
  }

  /** A small constant held in the graph itself; dims [] make a scalar. */
  integers(name: string, values: readonly number[], dims: readonly number[] = [values.length]): Value {
    this.claim(name);
    const bytes = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    this.initializers.push({ name, dataType: DataType.INT64, dims: [...dims], rawData: bytes });
    return name;
  }

  /** The same of floats. */
  floats(name: string, values: readonly number[], dims: readonly number[] = [values.length]): Value {
    this.claim(name);
    const rawData = new Uint8Array(Float32Array.from(values).buffer);
    this.initializers.push({ name, dataType: DataType.FLOAT, dims: [...dims], rawData });
    return name;
  }

  /** A scalar constant held in the graph itself. */
  float(name: string, value: number): Value {
    return this.floats(name, [value], []);
  }

  /** A scalar code held in the graph itself. */
  byte(name: string, type: 'int8' | 'uint8', value: number): Value {
    this.claim(name);
    this.initializers.push({ name, dataType: ELEMENT[type], dims: [], rawData: Uint8Array.of(value) });
    return name;
  }

  /** Adds a node with one output, which is called like the node unless `as` names it. */
  node(name: string, operator: string, inputs: readonly Value[], options: NodeOptions & { as?: string } = {}): Value {
    return this.nodeWithOutputs(name, operator, inputs, [options.as ?? name], options)[0] as Value;
  }

  /** Adds a node with the named outputs; an empty name leaves an optional output out. */
  nodeWithOutputs(
    name: string,
    operator: string,
    inputs: readonly Value[],
    outputs: readonly string[],
    options: NodeOptions = {},
  ): Value[] {
    this.claim(name);
    for (const output of outputs) if (output !== '' && output !== name) this.claim(output);
    this.nodes.push({
      name,
      opType: operator,
      domain: options.domain ?? '',
      input: [...inputs],
      output: [...outputs],
      attribute: Object.entries(options.attributes ?? {}).map(([key, value]) => attribute(key, value)),
    });
    return [...outputs];
  }

  /**
   * Adds a node that runs one of two graphs, both of which may read every value before it.
   * @param condition bool `[1]`
   * @param outputs names of what either gives, floats
   */
  conditional(
    name: string,
    condition: Value,
    outputs: readonly string[],
    whenTrue: () => readonly Value[],
    whenFalse: () => readonly Value[],
  ): Value[] {
    const branch = (key: string, build: () => readonly Value[]): onnx.IAttributeProto => {
      const outside = this.nodes;
      this.nodes = [];
      const output = build().map((value) => valueInfo(value, 'float'));
      const graph = { name: `${name}/${key}`, node: this.nodes, output };
      this.nodes = outside;
      return { name: key, type: AttributeType.GRAPH, g: graph };
    };
    const attributes = [branch('then_branch', whenTrue), branch('else_branch', whenFalse)];
    this.claim(name);
    for (const output of outputs) this.claim(output);
    this.nodes.push({ name, opType: 'If', input: [condition], output: [...outputs], attribute: attributes });
    return [...outputs];
  }

  /** The model in ONNX's protobuf form. Equal graphs give equal bytes. */
  encode(): Uint8Array {
    return onnxProto.onnx.ModelProto.encode({
      irVersion: 8,
      producerName: 'longhaul',
      opsetImport: [
        { domain: '', version: OPSET },
        { domain: 'com.microsoft', version: 1 },
      ],
      graph: {
        name: this.graphName,
        node: this.nodes,
        initializer: this.initializers,
        input: this.inputs,
        output: this.outputs,
      },
    }).finish();
  }

  private claim(name: string): void {
    if (this.names.has(name)) throw new DuplicateNameError(name);
    this.names.add(name);
  }
}

function valueInfo(name: string, type: ElementType, dims?: readonly Dimension[]): onnx.IValueInfoProto {
  const dim = dims?.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: { elemType: ELEMENT[type], ...(dim === undefined ? {} : { shape: { dim } }) } } };
}

function attribute(name: string, value: Attribute): onnx.IAttributeProto {
  if (typeof value === 'number') return { name, type: AttributeType.INT, i: value };
  if (typeof value === 'string') return { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) };
  if ('float' in value) return { name, type: AttributeType.FLOAT, f: value.float };
  return { name, type: AttributeType.INTS, ints: [...value] };
}
