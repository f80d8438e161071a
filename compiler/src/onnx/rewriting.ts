import type { Shape } from '../tensor.js';
import type { ModelMessage } from './messages.js';

/** What a rewritten file declares of one of its inputs or outputs, float32. */
export const tensorInfo = (name: string, shape: Shape) => ({
  name,
  type: {
    tensorType: {
      elemType: 1,
      shape: { dim: shape.map((dim) => (typeof dim === 'number' ? { dimValue: dim } : { dimParam: dim })) },
    },
  },
});

/** Of ONNX's own operators. */
export const opsetOf = ({ opsetImport }: ModelMessage): number =>
  Number(opsetImport.find(({ domain }) => !domain || domain === 'ai.onnx')?.version ?? 1);
