import { type Graph, referenceBackend, type Tensor } from '@whet/compiler';
import { type NormalizationName, randomFeeds, rules } from '@whet/trainer';
import { describe, expect, it } from 'vitest';
import type { Found } from './gpu.js';
import { type MetaGradientSize, metaGradientCase, metaGradientSizes } from './meta-gradient-case.js';
import { relativeError } from './reference.js';

interface Variant {
  readonly rule: string;
  readonly order: 1 | 2;
  readonly size: MetaGradientSize;
  readonly tasks: number;
  readonly normalization: NormalizationName;
}

interface Case {
  readonly graph: Graph;
  readonly feeds: Map<string, Tensor>;
  readonly expected: Promise<Map<string, Tensor>>;
}
const cases = new Map<string, Case>();

/**
 * With scales and moments about as in a network before training, where a convolution doubles the variance: others make
 * the gradient of a deep network so steep that float32 rounds it away.
 */
function asDrawn(feeds: Map<string, Tensor>): Map<string, Tensor> {
  const centres: [RegExp, number][] = [
    [/^(block\d\.(shortcut\.)?)?norm\d?\.weight$/, 1],
    [/\.mean$/, 0],
    [/\.variance$/, 2],
  ];
  for (const [name, { data }] of feeds) {
    const [, centre] = centres.find(([pattern]) => pattern.test(name)) ?? [];
    if (centre === undefined) continue;
    data.forEach((value, i) => {
      data[i] = centre + 0.1 * value;
    });
  }
  return feeds;
}

/** The float64 reference of a case, computed once for all backends. */
function caseOf({ rule, order, size, tasks, normalization }: Variant): Case {
  const key = `${rule} ${order} ${size} ${tasks} ${normalization}`;
  const known = cases.get(key);
  if (known) return known;
  const chosen = rules.get(rule) as NonNullable<ReturnType<typeof rules.get>>;
  const graph = metaGradientCase(chosen, order, size, tasks, normalization);
  const feeds = asDrawn(randomFeeds(graph));
  const expected = referenceBackend.compile(graph).then((executable) => executable.run(feeds));
  const made = { graph, feeds, expected };
  cases.set(key, made);
  return made;
}

const [small, large, residual] = metaGradientSizes as [MetaGradientSize, MetaGradientSize, MetaGradientSize];
const orders = [1, 2] as const;
const one = { tasks: 1, normalization: 'support' } as const;
const ofEveryRule = (size: MetaGradientSize, of: readonly (1 | 2)[] = orders): Variant[] =>
  [...rules.keys()].flatMap((rule) => of.map((order) => ({ ...one, rule, order, size })));
const variants: Variant[] = [
  ...ofEveryRule(small),
  ...orders.map((order) => ({ ...one, rule: 'sparse-maml', order, size: large })),
  ...orders.map((order) => ({ ...one, rule: 'sparse-maml', order, size: small, tasks: 3 })),
  // A rule says what moves, and how; that a deep network has the operators of a small one and some more does not change by rule. The
  // second order has all that the first has; the first of a deep network is looked at once.
  ...orders.map((order) => ({ ...one, rule: 'sparse-maml', order, size: residual })),
  ...(['transductive', 'population', 'layer'] as const).map(
    (normalization): Variant => ({ ...one, rule: 'maml', order: 2, size: residual, normalization }),
  ),
];

/**
 * Seconds each on a GPU in software, which mostly go into its shaders. There every rule is compared on one backend, several tasks
 * instead of one, and no first order: the second has all that it has. So is the deepest network.
 */
const isSlow = ({ rule, order, size, tasks }: Variant, backend: string): boolean => {
  if (order === 1) return true;
  if (rule !== 'sparse-maml' || size === residual)
    return backend !== 'ort-webgpu' || (rule !== 'sparse-maml' && size === residual);
  return size === small && tasks === 1;
};

/** Compares backends with the float64 reference on meta-gradients of networks. */
export function describeParity(found: readonly Found[]): void {
  describe('the meta-gradient of a network agrees with the float64 reference', { timeout: 180_000 }, () => {
    for (const each of found) {
      if ('missing' in each) {
        it.skip(`${each.name} (${each.missing})`, () => {});
        continue;
      }
      const { name, backend } = each;
      const isQuick = name === 'ort-cpu' || backend.accelerated;
      it.each(variants.filter((variant) => isQuick || !isSlow(variant, name)))(
        `${name}: $rule, order $order, $size, $normalization, tasks: $tasks`,
        async (variant) => {
          const { graph, feeds, expected } = caseOf(variant);
          const executable = await backend.compile(graph);
          const actual = await executable.run(feeds);
          await executable.release();
          const bound = variant.order === 1 ? 1e-4 : 1e-3;
          for (const [name, want] of await expected) {
            const got = actual.get(name)?.data ?? [];
            expect(relativeError(got, want.data, 1e-2), name).toBeLessThan(bound);
          }
        },
      );
    }
  });
}
