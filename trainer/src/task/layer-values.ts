import { nodesOf, type Value } from '@whet/compiler';

/**
 * What enters each layer of a pass over `images` to `result`, by the layer's name: of the first node that brings together what comes of the
 * images and a parameter of the layer, the former. `parameters` are the values of the pass, with their layers.
 */
export function enteringLayers(
  result: Value,
  images: Value,
  parameters: ReadonlyMap<Value, string>,
): ReadonlyMap<string, Value> {
  const ofImages = new Set([images]);
  const layersOf = new Map([...parameters].map(([value, layer]) => [value, [layer]]));
  const entering = new Map<string, Value>();
  for (const { inputs, output } of nodesOf([result], parameters.keys())) {
    const given = inputs.filter((value) => value !== undefined);
    const image = given.find((value) => ofImages.has(value));
    const layers = given.flatMap((value) => layersOf.get(value) ?? []);
    if (!image) {
      layersOf.set(output, [...new Set(layers)]);
      continue;
    }
    ofImages.add(output);
    for (const layer of layers) if (!entering.has(layer)) entering.set(layer, image);
  }
  return entering;
}
