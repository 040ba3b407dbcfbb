import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { DuplicateNameError, type ExternalTensor, GraphBuilder } from './graph-builder.js';

const weight = (name: string): ExternalTensor => ({
  name,
  type: 'float',
  dims: [2],
  file: 'w.bin',
  offset: 0,
  length: 8,
});

describe('graph builder', () => {
  test('encodes a model that the runtime loads and runs', async () => {
    const graph = new GraphBuilder('sum');
    const x = graph.input('x', 'float');
    const doubled = graph.node('/double', 'Mul', [x, graph.float('two', 2)]);
    const sum = graph.node('/sum', 'ReduceSum', [doubled, graph.integers('axis', [1])], {
      attributes: { keepdims: 0 },
      as: 'y',
    });
    graph.output(sum, 'float', ['n']);
    const session = await InferenceSession.create(graph.encode());
    const { y } = await session.run({ x: new Tensor('float32', [1, 2, 3, 4, 5, 6], [3, 2]) });
    expect(Array.from((y as Tensor).data as Float32Array)).toEqual([6, 14, 22]);
    await session.release();
  });

  test('a condition chooses the graph that runs, on values from outside it', async () => {
    const graph = new GraphBuilder('choice');
    const x = graph.input('x', 'float');
    const condition = graph.input('negate', 'bool');
    const two = graph.float('two', 2);
    const chosen = graph.conditional(
      '/choice',
      condition,
      ['y'],
      () => [graph.node('/neg', 'Neg', [x])],
      () => [graph.node('/twice', 'Mul', [graph.node('/twice/in', 'Identity', [x]), two])],
    );
    graph.output(chosen[0] as string, 'float', [2]);
    expect(() => graph.node('/neg', 'Neg', [x])).toThrow(DuplicateNameError);
    const session = await InferenceSession.create(graph.encode());
    const run = async (negate: boolean) => {
      const feeds = { x: new Tensor('float32', [1, 2], [2]), negate: new Tensor('bool', [negate], [1]) };
      return Array.from(((await session.run(feeds))['y'] as Tensor).data as Float32Array);
    };
    expect(await run(true)).toEqual([-1, -2]);
    expect(await run(false)).toEqual([2, 4]);
    await session.release();
  });

  test('a name used twice throws, whatever it names', () => {
    const graph = new GraphBuilder('twice');
    graph.input('x', 'float');
    graph.node('/a', 'Neg', ['x'], { as: 'y' });
    expect(() => graph.input('x', 'float')).toThrow(DuplicateNameError);
    expect(() => graph.node('/a', 'Neg', ['x'])).toThrow(DuplicateNameError);
    expect(() => graph.node('/b', 'Neg', ['x'], { as: 'y' })).toThrow(DuplicateNameError);
    expect(() => graph.float('y', 1)).toThrow(DuplicateNameError);
  });

  test('one tensor may be used in two places, two tensors may not share a name', () => {
    const graph = new GraphBuilder('tied');
    const tied = weight('w');
    expect(graph.weight(tied)).toBe(graph.weight(tied));
    expect(() => graph.weight(weight('w'))).toThrow(DuplicateNameError);
  });

  test('equal graphs give equal bytes', () => {
    const build = () => {
      const graph = new GraphBuilder('same');
      graph.output(graph.node('/neg', 'Neg', [graph.input('x', 'float')]), 'float', ['n']);
      return graph.encode();
    };
    expect(build()).toEqual(build());
  });
});
