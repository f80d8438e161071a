import { anil, boil, maml, metaSgd, type Rule, rules, sparseMaml, sparseReluMaml } from '@whet/trainer';

/** A row of the table: how a network was trained after the embedding, and how it adapts. */
export interface Method {
  readonly name: string;
  /** Folder of the training run, which methods may share. */
  readonly run: string;
  /** Settings besides those all runs share. */
  readonly training: Readonly<Record<string, unknown>>;
  /** Which weights move at test; those of training when absent. `search` finds them on validation tasks. */
  readonly adapts?: Rule | 'search';
  /** Inner steps at test, where they are others than in training. */
  readonly steps?: number;
}

const trainedBy = ({ name }: Rule, settings: Readonly<Record<string, unknown>> = {}): Method => ({
  name,
  run: name,
  training: { rule: name, ...settings },
});

const prototype = { run: 'prototype', training: { rule: 'maml', innerSteps: 0 } };

export const methods: readonly Method[] = [
  { name: 'prototype network', ...prototype, steps: 0 },
  { name: 'head only', ...prototype, adapts: anil },
  ...[maml, anil, boil, metaSgd, sparseMaml, sparseReluMaml].map((rule) => trainedBy(rule)),
  {
    name: 'cost-aware sparse-maml',
    run: 'cost-aware',
    training: { rule: 'sparse-maml', maskGranularity: 'channel', maskCost: { weight: 0.3 } },
  },
  { name: 'lambda pattern', run: 'maml', training: { rule: 'maml' }, adapts: 'search' },
];

/** All weights of the listed layers move: a lambda pattern. */
export const layersMove = (layers: readonly string[]): Rule => ({
  ...(rules.get('maml') ?? maml),
  name: layers.join('+'),
  moves: ({ layer }) => layers.includes(layer),
});
