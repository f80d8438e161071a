import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../builder.js';
import type { Graph } from '../graph.js';
import type { ModelMessage } from './messages.js';
import { withVersions } from './opset.js';
import { onnxMessage } from './schema.js';
import { encodeOnnx } from './write.js';

const modelOf = (build: (g: GraphBuilder) => Graph): Uint8Array => encodeOnnx(build(new GraphBuilder()));
const relu = modelOf((g) => {
  const x = g.input('x', ['N', 4]);
  return { name: 'relu', inputs: [x], outputs: new Map([['y', g.apply('Relu', [x], {})]]) };
});
const reduced = modelOf((g) => {
  const x = g.input('x', ['N', 4]);
  return { name: 'max', inputs: [x], outputs: new Map([['y', g.apply('ReduceMax', [x], { keepdims: 0 })]]) };
});
const read = (model: Uint8Array) => onnxMessage('ModelProto').decode(model) as unknown as ModelMessage;
const versionsIn = (model: Uint8Array) => {
  const { irVersion, opsetImport } = read(model);
  return [Number(irVersion), opsetImport.map(({ domain, version }) => [domain, Number(version)])];
};

describe('a model of another operator set', () => {
  it('is the same but for the numbers, of which the IR version goes with the set unless it is told', () => {
    for (const [asked, expected] of [
      [{ opset: 13 }, [7, 13]],
      [{ opset: 21 }, [10, 21]],
      [{ opset: 21, ir: 11 }, [11, 21]],
      [{ ir: 8 }, [8, 18]],
      [{}, [9, 18]],
    ] as const) {
      const written = withVersions(relu, asked);
      expect(versionsIn(written)).toEqual([expected[0], [['', expected[1]]]]);
      expect(read(written).graph).toEqual(read(relu).graph);
      expect(written.length).toBeLessThanOrEqual(relu.length + 4);
    }
  });

  it.each([
    [{ opset: 17 }, 'opset 17: expected operators that are as in 18, got ReduceMax, which changed in 18'],
    [{ opset: 12 }, 'opset: expected 13 to 28, got 12'],
    [{ opset: 21, ir: 9 }, 'ir: expected 10 or more for opset 21, got 9'],
  ])('that it cannot have is refused: %j', (asked, message) => {
    expect(() => withVersions(reduced, asked)).toThrow(message);
  });

  it('is refused where an operator began later, or is not known', () => {
    const gelu = modelOf((g) => {
      const x = g.input('x', ['N', 4]);
      return { name: 'gelu', inputs: [x], outputs: new Map([['y', g.apply('Gelu', [x], { approximate: 'none' })]]) };
    });
    expect(() => withVersions(gelu, { opset: 18 })).toThrow('got Gelu, which began in 20');
    const type = onnxMessage('ModelProto');
    const own = type.decode(relu) as unknown as { graph: { node: { opType: string }[] } };
    (own.graph.node[0] as { opType: string }).opType = 'Polish';
    const strange = type.encode(own as never).finish();
    expect(() => withVersions(strange, { opset: 20 })).toThrow('got Polish, of which nothing is known');
    const functions = type.encode(type.create({ ...read(relu), functions: [{ name: 'f', domain: 'd' }] })).finish();
    expect(() => withVersions(functions, { opset: 20 })).toThrow(
      'opset: expected 18, as the model has functions of its own, got 20',
    );
  });
});
