import { type Graph, referenceBackend, type Tensor } from '@whet/compiler';
import { randomFeeds, rules } from '@whet/trainer';
import { describe, expect, it } from 'vitest';
import { findBackends } from './gpu.js';
import { type MetaGradientSize, metaGradientCase, metaGradientSizes } from './meta-gradient-case.js';
import { relativeError } from './reference.js';

const found = await findBackends();

interface Case {
  readonly graph: Graph;
  readonly feeds: Map<string, Tensor>;
  readonly expected: Promise<Map<string, Tensor>>;
}
const cases = new Map<string, Case>();

/** The float64 reference of a case, computed once for all backends. */
function caseOf(rule: string, order: 1 | 2, size: MetaGradientSize, tasks: number): Case {
  const key = `${rule} ${order} ${size} ${tasks}`;
  const known = cases.get(key);
  if (known) return known;
  const graph = metaGradientCase(rules.get(rule) as NonNullable<ReturnType<typeof rules.get>>, order, size, tasks);
  const feeds = randomFeeds(graph);
  const expected = referenceBackend.compile(graph).then((executable) => executable.run(feeds));
  const made = { graph, feeds, expected };
  cases.set(key, made);
  return made;
}

const [small, large] = metaGradientSizes as [MetaGradientSize, MetaGradientSize];
const orders = [1, 2] as const;
const variants = [
  ...[...rules.keys()].flatMap((rule) => orders.map((order) => ({ rule, order, size: small, tasks: 1 }))),
  ...orders.map((order) => ({ rule: 'sparse-maml', order, size: large, tasks: 1 })),
  ...orders.map((order) => ({ rule: 'sparse-maml', order, size: small, tasks: 3 })),
];

describe('the meta-gradient of Conv4 agrees with the float64 reference', { timeout: 180_000 }, () => {
  for (const each of found) {
    if ('missing' in each) {
      it.skip(`${each.name} (${each.missing})`, () => {});
      continue;
    }
    it.each(variants)(
      `${each.name}: $rule, order $order, $size, tasks: $tasks`,
      async ({ rule, order, size, tasks }) => {
        const { graph, feeds, expected } = caseOf(rule, order, size, tasks);
        const executable = await each.backend.compile(graph);
        const actual = await executable.run(feeds);
        await executable.release();
        const bound = order === 1 ? 1e-4 : 1e-3;
        for (const [name, want] of await expected) {
          const got = actual.get(name)?.data ?? [];
          expect(relativeError(got, want.data, 1e-2), name).toBeLessThan(bound);
        }
      },
    );
  }
});
