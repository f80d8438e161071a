import {
  type Backend,
  GraphBuilder,
  GraphError,
  gradients,
  int64s,
  makeTensor,
  referenceBackend,
} from '@whet/compiler';
import { describe, expect, it } from 'vitest';
import { findBackends } from './gpu.js';

/** Every backend keeps the same contract; one that cannot run on this machine is skipped with the reason. */
const found = [{ name: referenceBackend.name, backend: referenceBackend as Backend }, ...(await findBackends())];
const backends = found.flatMap((each) => ('backend' in each ? [each.backend] : []));
const missing = found.flatMap((each) => ('missing' in each ? [each] : []));

describe.runIf(missing.length > 0)('executors that this machine lacks', () => {
  it.skip.each(missing)('$name: $missing', () => {});
});

/** `y = relu(x w)` for any N, the rows of y that `rows` names, and the gradient of sum(y) with respect to w. */
function rowsGraph() {
  const g = new GraphBuilder();
  const x = g.input('x', ['N', 2]);
  const w = g.input('w', [2, 3]);
  const twin = g.input('twin', ['N', 3]);
  const rows = g.input('rows', ['R'], 'int64');
  const y = g.apply('Relu', [g.apply('Add', [g.apply('MatMul', [x, w], {}), twin], {})], {});
  const picked = g.apply('Gather', [y, rows], { axis: 0 });
  const [gradient] = gradients(g, g.apply('ReduceSum', [y], { keepdims: 0 }), [w]);
  if (!gradient) throw new Error('w has no gradient');
  const outputs = new Map([
    ['picked', picked],
    ['positive', g.apply('Greater', [y, g.scalar(0)], {})],
    ['grad/w', gradient],
  ]);
  return { name: 'rows', inputs: [x, w, twin, rows], outputs };
}

const feeds = (n: number) =>
  new Map([
    [
      'x',
      makeTensor(
        [n, 2],
        Float32Array.from({ length: 2 * n }, (_, i) => i + 1),
      ),
    ],
    ['w', makeTensor([2, 3], [1, -1, 0.5, 0, -2, 1])],
    ['twin', makeTensor([n, 3], new Float32Array(3 * n))],
    ['rows', int64s([n - 1, 0])],
    ['of another graph', makeTensor([1], [1])],
  ]);

describe.each(backends.map((backend) => [backend.name, backend] as const))(
  'the executor contract: %s',
  (_, backend) => {
    it('runs one graph at any size of its symbols, gradients and whole numbers included', async () => {
      const executable = await backend.compile(rowsGraph());
      for (const n of [2, 3]) {
        const outputs = await executable.run(feeds(n));
        expect([...outputs.keys()].sort()).toEqual(['grad/w', 'picked', 'positive']);
        const last = [2 * n - 1, 0, 3 * n - 0.5];
        expect(outputs.get('picked')).toMatchObject({ dtype: 'float32', shape: [2, 3] });
        expect(Array.from(outputs.get('picked')?.data ?? [])).toEqual([...last, 1, 0, 2.5]);
        expect(outputs.get('positive')).toMatchObject({ dtype: 'bool', shape: [n, 3] });
        expect(Array.from(outputs.get('positive')?.data ?? [])).toEqual(
          Array.from({ length: n }, () => [1, 0, 1]).flat(),
        );
        const [odd, even] = [n * n, n * (n + 1)];
        expect(Array.from(outputs.get('grad/w')?.data ?? [])).toEqual([odd, 0, odd, even, 0, even]);
      }
      await executable.release();
    });

    it('says which input is missing or does not fit, and runs on after that', async () => {
      const executable = await backend.compile(rowsGraph());
      const run = (name: string, tensor?: ReturnType<typeof makeTensor>) => {
        const changed = new Map(feeds(2));
        if (tensor) changed.set(name, tensor);
        else changed.delete(name);
        return executable.run(changed);
      };
      await expect(run('w')).rejects.toThrow(new GraphError('"rows": input "w" is not fed'));
      await expect(run('w', makeTensor([3, 2], new Float32Array(6)))).rejects.toThrow(
        '"rows": input "w": expected [2, 3], got [3, 2]',
      );
      await expect(run('twin', makeTensor([3, 3], new Float32Array(9)))).rejects.toThrow(
        '"rows": input "twin": expected [N, 3], got [3, 3]',
      );
      await expect(executable.run(feeds(2))).resolves.toBeDefined();
      await executable.release();
    });
  },
);
