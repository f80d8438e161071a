import type { Manifest } from './manifest.js';
import { checked, either, list, number, oneOf, onlyFields, optional, type TypeOf, text } from './schema.js';

// What meta-training found about tasks: how much there is to learn, by the loss of views of a task's own examples at the start, and which
// pattern, or which head without a step, learns it best.

/** How a head ends where nothing below it moves: as it starts, in closed form of the examples, or of views of all of them too. */
const headEnds = ['started', 'solved', 'viewed'] as const;

const loss = optional(number({ exclusiveMinimum: 0 }));

const ruleSchema = either(
  onlyFields({ below: loss, head: oneOf(headEnds) }),
  onlyFields({ below: loss, steps: text() }),
);

/** The first rule that a task's loss is `below`, or that has no bound, says what is done; the last one has none. */
const rulesSchema = checked(list(ruleSchema, { minItems: 1 }), (rules) =>
  rules.every(({ below }, i) => (below === undefined) === (i === rules.length - 1))
    ? undefined
    : 'expected a bound, "below", of every rule but the last',
);

/** For tasks in which a class has several examples, and for those in which every class has one. */
export const policySchema = onlyFields({ several: rulesSchema, lone: rulesSchema });

export type PolicyRule = TypeOf<typeof ruleSchema>;
export type Policy = TypeOf<typeof policySchema>;

/** The patterns that `auto` chooses among: those that its policy has steps of, and those that move the head alone; all without one. */
export function patternsOfAuto({ patterns, policy }: Pick<Manifest, 'patterns' | 'policy'>): string[] {
  const names = Object.keys(patterns);
  if (!policy) return names;
  const stepped = new Set([...policy.several, ...policy.lone].flatMap((rule) => ('steps' in rule ? [rule.steps] : [])));
  return names.filter((name) => stepped.has(name) || patterns[name]?.moving.length === 0);
}

/** The patterns that may be taken where a caller names none. */
export const presetPatterns = (manifest: Manifest): string[] =>
  manifest.auto ? patternsOfAuto(manifest) : [manifest.defaultPattern];

/** What a policy says of a task whose views have this loss. */
export function ruleFor(policy: Policy, hasSeveral: boolean, loss: number): PolicyRule {
  const rules = hasSeveral ? policy.several : policy.lone;
  return rules.find(({ below = Number.POSITIVE_INFINITY }) => loss < below) ?? (rules.at(-1) as PolicyRule);
}
