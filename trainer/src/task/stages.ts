import { type GraphBuilder, reshape, slice, type Value } from '@whet/compiler';

/** Classes of a task that arrive one group after the other. */
export interface StreamSettings {
  /** Groups that the classes arrive in, all of one size, each adapted to alone. */
  readonly stages: number;
  /** Examples of each earlier class, at most, that are adapted to beside those of a group. */
  readonly remember: number;
}

/** Images of a task, class-major, with one-hot labels. */
export interface LabelledImages {
  /** `[N, C, H, W]` */
  readonly images: Value;
  /** `[N, W]` */
  readonly labels: Value;
}

/** What a stage adapts to, and is asked about. */
export interface TaskStage {
  /** Examples of the classes that arrive, and behind them those that are remembered. Labels are of the classes so far. */
  readonly support: LabelledImages;
  /** Labels of the same rows, of the classes that arrive alone. */
  readonly arriving: Value;
  /** Of all classes so far. */
  readonly query: LabelledImages;
}

interface StagedTask extends Partial<StreamSettings> {
  readonly ways: number;
  readonly shots: number;
  readonly queries: number;
}

/** A task's stages, in their order. Throws a RangeError where its classes do not make as many groups. */
export function stagesOf(
  g: GraphBuilder,
  { ways, shots, queries, stages = 1, remember = 0 }: StagedTask,
  support: LabelledImages,
  query: LabelledImages,
): TaskStage[] {
  const each = ways / stages;
  if (!Number.isInteger(each)) throw new RangeError(`expected ways that ${stages} stages divide, got ${ways}`);
  const kept = Math.min(remember, shots);
  if (stages === 1) return [{ support, arriving: support.labels, query }];
  return Array.from({ length: stages }, (_, stage) => {
    const [from, to] = [stage * each, (stage + 1) * each];
    const rows = (value: Value, start: number, end: number) => slice(g, value, [0], [start], [end]);
    const columns = (labels: Value, start: number) => slice(g, labels, [1], [start], [to]);
    const first = (value: Value): Value => {
      const [, ...shape] = value.shape as number[];
      const byClass = reshape(g, value, [ways, shots, ...shape]);
      return reshape(g, slice(g, byClass, [0, 1], [0, 0], [from, kept]), [from * kept, ...shape]);
    };
    const taught = (value: Value): Value => {
      const own = rows(value, from * shots, to * shots);
      return from * kept === 0 ? own : g.apply('Concat', [own, first(value)], { axis: 0 });
    };
    const labels = taught(support.labels);
    return {
      support: { images: taught(support.images), labels: columns(labels, 0) },
      arriving: columns(labels, from),
      query: {
        images: rows(query.images, 0, to * queries),
        labels: columns(rows(query.labels, 0, to * queries), 0),
      },
    };
  });
}
