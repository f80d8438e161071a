import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { attributeKinds, type OperatorName, operators, readableOperators } from '@whet/compiler';

export const OPERATOR_DOCS = fileURLToPath(new URL('../../../docs/operators.md', import.meta.url));

/** What the table does not say by itself. */
const notes: Partial<Record<OperatorName, string>> = {
  AveragePool: 'images of rank 4',
  BatchNormalization: 'inference, with stored moments',
  Cast: 'a gradient between floats only',
  Clip: 'gradient 1 at the limits, as in PyTorch; of the limits too',
  Conv: 'images of rank 4; for gradients of known size',
  ConvTranspose: 'images of rank 4; for gradients of known size',
  Dropout: 'inference: the identity',
  Einsum: 'no gradient through a diagonal (`ii`)',
  Gelu: 'makes the model opset 20',
  GroupNormalization: 'scale and shift per channel; makes the model opset 21',
  Max: 'any number of operands; a tie goes to the first',
  ConvWeightGradient: "Whet's own: the gradient of Conv's weight; lowered to ONNX operators",
  MaxPool: 'images of rank 4; the maximum only, not its index; several maxima share the gradient evenly',
  Min: 'any number of operands; a tie goes to the first',
  Pad: '`constant`, `reflect`, `edge`; pads of 0 or more',
  ReduceMax: 'several maxima share the gradient evenly',
  ReduceMin: 'several minima share the gradient evenly',
  ReduceProd: 'gradient where no element is 0',
  Reshape: 'to a shape that is constant or computed from shapes',
  Resize: '`nearest`, `linear`; `half_pixel`, `asymmetric`, `align_corners`, `pytorch_half_pixel`',
  ScatterElements: '`none`, `add`',
  StopGradient: "Whet's own: the identity without a gradient; erased from models",
  StraightThrough: "Whet's own: one value with another's gradient; erased from models",
};

/** The table of operators as Markdown. */
export function operatorDocs(): string {
  const names = (Object.keys(operators) as OperatorName[]).sort();
  const rows = names.map((name) => {
    const attributes = Object.keys(attributeKinds[name]).map((attribute) => `\`${attribute}\``);
    const gradient = operators[name].vjp === 'none' ? '-' : 'yes';
    return `| ${[name, gradient, attributes.join(', '), notes[name] ?? ''].join(' | ')} |`;
  });
  const differentiable = names.filter((name) => operators[name].vjp !== 'none').length;
  const written = readableOperators().filter((name) => !Object.hasOwn(operators, name));
  return [
    '# Operators',
    '',
    `The ${names.length} operators of a graph, by ONNX's names and with opset 18's meaning. ${differentiable} have a gradient rule that is`,
    'made of the same operators, so that gradients of gradients exist too. The others have a slope of zero wherever they',
    'have one, or give integers.',
    '',
    'Written by `npm run docs:operators`; a test fails where it is stale.',
    '',
    '| operator | gradient | attributes | notes |',
    '|---|---|---|---|',
    ...rows,
    '',
    `Models may also have these, which are read as some of the above: ${written.join(', ')}. Activations that are`,
    'quantized and dequantized are read as `Clip` where they move, and left as they are where they are frozen.',
    '',
  ].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(OPERATOR_DOCS, operatorDocs());
