import * as tfjs from '@tensorflow/tfjs-core';
import { type Graph, GraphBuilder, GraphError, int64s, makeTensor, type Value } from '@whet/compiler';
import {
  BackendUnavailableError,
  DeviceError,
  type Importer,
  maml,
  openTfjsBackend,
  randomFeeds,
  tfjsNames,
} from '@whet/trainer';
import { describe, expect, it } from 'vitest';
import { useSoftwareGpu } from './gpu.js';
import { type MetaGradientSize, metaGradientCase, metaGradientSizes } from './meta-gradient-case.js';

const cpu = await openTfjsBackend('tfjs-cpu');

/** A loader that knows some packages by other modules, and misses all others. */
function only(packages: Readonly<Record<string, unknown>>): Importer {
  return async (specifier) => {
    if (specifier in packages) return packages[specifier];
    throw Object.assign(new Error(`Cannot find package '${specifier}'`), { code: 'ERR_MODULE_NOT_FOUND' });
  };
}

/** What the package tfjs-node-gpu offers, on kernels in JavaScript instead of its native library. */
function nodeGpuPackage(isUsingGpuDevice: boolean) {
  if (tfjs.findBackendFactory('tensorflow')) tfjs.removeBackend('tensorflow');
  tfjs.copyRegisteredKernels('cpu', 'tensorflow');
  const factory = tfjs.findBackendFactory('cpu');
  tfjs.registerBackend('tensorflow', () => Object.assign(factory() as tfjs.KernelBackend, { isUsingGpuDevice }));
  return only({ '@tensorflow/tfjs-node-gpu': tfjs });
}

const meta = metaGradientCase(maml, 2, metaGradientSizes[0] as MetaGradientSize);

const graphOf = (x: Value, y: Value): Graph => ({ name: 'test', inputs: [x], outputs: new Map([['y', y]]) });

describe('graphs interpreted by TensorFlow.js', () => {
  it('leave no tensor behind, run after run', async () => {
    const before = tfjs.memory().numTensors;
    const executable = await cpu.compile(meta);
    const feeds = randomFeeds(meta);
    await executable.run(feeds);
    const constants = tfjs.memory().numTensors;
    for (let i = 0; i < 2; i++) await executable.run(feeds);
    expect(tfjs.memory().numTensors).toBe(constants);
    await executable.release();
    expect(tfjs.memory().numTensors).toBe(before);
  });

  it('leave no tensor behind where a run fails', async () => {
    const executable = await cpu.compile(meta);
    await executable.run(randomFeeds(meta));
    const before = tfjs.memory().numTensors;
    const feeds = randomFeeds(meta);
    feeds.delete('query');
    await expect(executable.run(feeds)).rejects.toThrow('input "query" is not fed');
    expect(tfjs.memory().numTensors).toBe(before);
    await executable.release();
  });

  it('give the same at runs that overlap', async () => {
    const executable = await cpu.compile(meta);
    const feeds = randomFeeds(meta);
    const [a, b] = await Promise.all([executable.run(feeds), executable.run(feeds)]);
    expect(a.get('grad/conv1.weight')).toEqual(b.get('grad/conv1.weight'));
    await executable.release();
  });

  it('are refused with all operators that training does not use', async () => {
    const g = new GraphBuilder();
    const x = g.input('x', [2, 3]);
    const lower = g.apply('Trilu', [x], { upper: 0 });
    const graph = graphOf(x, g.apply('HardSwish', [lower], {}));
    await expect(cpu.compile(graph)).rejects.toThrow(
      new GraphError('"test": the tfjs backend has no rule for HardSwish, Trilu'),
    );
  });

  it('are refused with more axes than shaders take, and with half precision', async () => {
    const g = new GraphBuilder();
    const deep = g.input('deep', [1, 1, 1, 1, 1, 1, 2]);
    const neg = (x: Value) => graphOf(x, g.apply('Neg', [x], {}));
    await expect(cpu.compile(neg(deep))).rejects.toThrow('"deep": tfjs takes up to 6 axes');
    const half = g.input('half', [2], 'float16');
    await expect(cpu.compile(neg(half))).rejects.toThrow('got float16');
  });

  it('count from the back where an index is negative', async () => {
    const g = new GraphBuilder();
    const x = g.input('x', [3]);
    const y = g.apply('Gather', [x, g.constant(int64s([-1, 0]))], { axis: 0 });
    const executable = await cpu.compile(graphOf(x, y));
    const outputs = await executable.run(new Map([['x', makeTensor([3], [1, 2, 3])]]));
    expect(Array.from(outputs.get('y')?.data ?? [])).toEqual([3, 1]);
  });
});

describe('loading TensorFlow.js', () => {
  it('runs on the package for CUDA where it finds a GPU', async () => {
    const backend = await openTfjsBackend('tfjs-node-gpu', {}, nodeGpuPackage(true));
    expect(backend).toMatchObject({ name: 'tfjs-node-gpu', device: 'CUDA, by TensorFlow', accelerated: true });
    const [executable, reference] = [await backend.compile(meta), await cpu.compile(meta)];
    const feeds = randomFeeds(meta);
    const [actual, expected] = [await executable.run(feeds), await reference.run(feeds)];
    expect(actual.get('grad/conv1.weight')).toEqual(expected.get('grad/conv1.weight'));
  });

  it('says what CUDA needs where TensorFlow finds no GPU', async () => {
    const open = openTfjsBackend('tfjs-node-gpu', {}, nodeGpuPackage(false));
    await expect(open).rejects.toThrow(/TensorFlow finds no GPU: install an NVIDIA driver, CUDA 11\.2 and cuDNN 8\.1/);
  });

  it('says which package is missing, and what a package said that does not load', async () => {
    const open = openTfjsBackend('tfjs-node-gpu', {}, only({}));
    await expect(open).rejects.toThrow(
      'backend "tfjs-node-gpu" cannot be used: the package @tensorflow/tfjs-node-gpu is not installed: ' +
        '`npm install @tensorflow/tfjs-node-gpu`',
    );
    const broken: Importer = () =>
      Promise.reject(new Error('libcudart.so.11.0: cannot open shared object file\n at x'));
    await expect(openTfjsBackend('tfjs-node-gpu', {}, broken)).rejects.toThrow(
      'cannot be loaded: libcudart.so.11.0: cannot open shared object file',
    );
  });

  it('takes the first that works, and names all reasons where none does', async () => {
    const packages = { '@tensorflow/tfjs-core': tfjs, '@tensorflow/tfjs-backend-cpu': {} };
    expect((await openTfjsBackend('tfjs', {}, only(packages))).name).toBe('tfjs-cpu');
    const error = await openTfjsBackend('tfjs', {}, only({})).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(BackendUnavailableError);
    for (const name of tfjsNames) expect((error as Error).message).toContain(`${name}: the package`);
  });
});

useSoftwareGpu();
const webgpu = await openTfjsBackend('tfjs-webgpu').catch((error: unknown) => {
  if (error instanceof BackendUnavailableError) return error.reason;
  throw error;
});
const title = typeof webgpu === 'string' ? ` (${webgpu})` : '';

const product = (() => {
  const g = new GraphBuilder();
  const x = g.input('x', [64, 64]);
  return graphOf(x, g.apply('MatMul', [x, x], {}));
})();

describe.skipIf(typeof webgpu === 'string')(`WebGPU through Dawn${title}`, () => {
  /** A backend of its own, since the test breaks its device. */
  async function broken(happens: (device: { destroy(): void }) => void) {
    const backend = await openTfjsBackend('tfjs-webgpu');
    const executable = await backend.compile(product);
    await executable.run(randomFeeds(product));
    happens((tfjs.backend() as unknown as { device: { destroy(): void } }).device);
    return executable;
  }

  it('says that the device was lost, and another device goes on', async () => {
    const executable = await broken((device) => device.destroy());
    const error = await executable.run(randomFeeds(product)).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(DeviceError);
    expect(error).toMatchObject({ backend: 'tfjs-webgpu', failure: 'lost' });
    await executable.release();
    const other = await (await openTfjsBackend('tfjs-webgpu')).compile(product);
    await expect(other.run(randomFeeds(product))).resolves.toBeDefined();
    await other.release();
  });

  it('names the adapters it does not find', async () => {
    await expect(openTfjsBackend('tfjs-webgpu', { device: 'no such card' })).rejects.toThrow(
      /expected a part of an adapter's name, got "no such card"; there is "/,
    );
  });
});
