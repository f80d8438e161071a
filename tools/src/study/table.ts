import type { Interval } from '@whet/trainer';

/** A method, trained and evaluated under one normalization from one seed. */
export interface Cell {
  readonly method: string;
  readonly normalization: string;
  readonly seed: number;
  /** The rule or layers that adapt. */
  readonly moves: string;
  /** Inner rate at test, chosen on validation tasks; absent where none is, or where the rule learned its rates. */
  readonly rate?: number;
  /** Share of each layer's weights that learned masks closed; empty for rules without masks. */
  readonly frozen?: Readonly<Record<string, number>>;
  readonly tasks: number;
  /** By the shapes of {@link formatStudy}. */
  readonly accuracies: readonly Interval[];
  /** After a single inner step, at a rate that was chosen for it; absent where that was not measured. */
  readonly oneStep?: { readonly rate: number; readonly accuracies: readonly Interval[] };
}

const percent = (share: number) => (100 * share).toFixed(2);

/**
 * The mean over seeds with its 95 % interval, and the seeds by themselves. All seeds are measured on the same tasks, so
 * the interval is that of one of them: more seeds make it no narrower.
 */
function overSeeds(intervals: readonly Interval[]): string {
  const mean = intervals.reduce((sum, each) => sum + each.mean, 0) / intervals.length;
  const halfWidth = intervals.reduce((sum, each) => sum + each.halfWidth, 0) / intervals.length;
  const seeds = intervals.map((each) => percent(each.mean)).join(', ');
  return `${percent(mean)} ± ${percent(halfWidth)} (${seeds})`;
}

interface Shape {
  readonly ways: number;
  readonly shots: number;
}

/** Median milliseconds to adapt by method, for each shape, of networks of one normalization. */
export interface Times {
  readonly normalization: string;
  readonly shapes: readonly Shape[];
  readonly milliseconds: Readonly<Record<string, readonly number[]>>;
}

/** One Markdown table per normalization, a row per method. */
export function formatStudy(cells: readonly Cell[], shapes: readonly Shape[], times?: Times): string {
  return [...new Set(cells.map(({ normalization }) => normalization))]
    .map((normalization) => {
      const timed = normalization === times?.normalization ? times.shapes : [];
      const here = cells.filter((cell) => cell.normalization === normalization);
      const stepped = here.some(({ oneStep }) => oneStep) ? shapes : [];
      const rows = [...new Set(here.map(({ method }) => method))].map((method) => {
        const seeds = here.filter((cell) => cell.method === method);
        const moves = [...new Set(seeds.map((cell) => cell.moves))].join('; ');
        const rates = [...new Set(seeds.map((cell) => cell.rate ?? '-'))].join('; ');
        const accuracies = shapes.map((_, i) => overSeeds(seeds.map((cell) => cell.accuracies[i] as Interval)));
        const after = seeds.flatMap(({ oneStep }) => (oneStep ? [oneStep.accuracies] : []));
        const single = stepped.map((_, i) =>
          after.length > 0 ? overSeeds(after.map((each) => each[i] as Interval)) : '-',
        );
        const adapt = timed.map((_, i) => times?.milliseconds[method]?.[i]?.toFixed(1) ?? '-');
        return `| ${[method, moves, rates, ...accuracies, ...single, ...adapt].join(' | ')} |`;
      });
      const after = stepped.map(({ ways, shots }) => `${ways}-way ${shots}-shot, one step`);
      const named = shapes.map(({ ways, shots }) => `${ways}-way ${shots}-shot`);
      const adapting = timed.map(({ ways, shots }) => `ms to adapt, ${ways}-way ${shots}-shot`);
      const head = ['method', 'moves', 'inner rate', ...named, ...after, ...adapting];
      const lines = [`| ${head.join(' | ')} |`, `|${head.map(() => '---').join('|')}|`, ...rows];
      return `### ${normalization}\n\n${lines.join('\n')}\n`;
    })
    .join('\n');
}
