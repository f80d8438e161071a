import { foldScales, GraphBuilder, inline, runPasses, type Value } from '@whet/compiler';
import type { Backbone, Moments } from '@whet/models';

/**
 * Features of `images [N, C, H, W]` normalized with moments that do not depend on them. Normalization is then a scale and
 * a shift per channel, and folds into the convolutions: fewer passes over the images, and as many fewer in the gradient.
 */
export function featuresWithMoments(
  g: GraphBuilder,
  backbone: Backbone,
  images: Value,
  parameters: ReadonlyMap<string, Value>,
  moments: ReadonlyMap<string, Moments>,
): Value {
  const inner = new GraphBuilder();
  const bindings = new Map<Value, Value>();
  const input = (name: string, outer: Value): Value => {
    const value = inner.input(name, outer.shape, outer.dtype);
    bindings.set(value, outer);
    return value;
  };
  const batch = input('images', images);
  const weights = new Map(
    backbone.parameters.map(({ name }) => {
      const outer = parameters.get(name);
      if (!outer) throw new Error(`no parameter "${name}"`);
      return [name, input(name, outer)];
    }),
  );
  const given = new Map(
    backbone.normalizations.map(({ name }) => {
      const outer = moments.get(name);
      if (!outer) throw new Error(`no moments of "${name}"`);
      return [name, { mean: input(`${name}.mean`, outer.mean), variance: input(`${name}.variance`, outer.variance) }];
    }),
  );
  const features = backbone.build(
    inner,
    batch,
    (name) => weights.get(name) as Value,
    (name) => given.get(name) as Moments,
  );
  const whole = { name: 'features', inputs: [...bindings.keys()], outputs: new Map([['features', features]]) };
  const { graph } = runPasses(whole, { foldScales: foldScales() });
  const outer = [...bindings.values()];
  const copies = inline(g, graph, new Map(graph.inputs.map((value, i) => [value, outer[i] as Value])));
  return copies.get('features') as Value;
}
