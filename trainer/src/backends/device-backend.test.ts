import { type Backend, type Graph, GraphBuilder, GraphError } from '@whet/compiler';
import { describe, expect, it } from 'vitest';
import { reportingFailures } from './device-backend.js';
import { DeviceError } from './errors.js';
import { driversAmong } from './loaded-drivers.js';
import { openOrtBackend, ortBackend } from './ort.js';

function identity(): Graph {
  const g = new GraphBuilder();
  const x = g.input('x', [1]);
  return { name: 'identity', inputs: [x], outputs: new Map([['y', g.apply('Identity', [x], {})]]) };
}

const failing = (message: string): Backend => ({
  name: 'ort-webgpu',
  device: 'a device',
  compile: async () => ({
    run: () => Promise.reject(new Error(message)),
    release: () => Promise.reject(new Error('the device is gone')),
  }),
});

describe('failures of a device', () => {
  it.each([
    ['Device lost: VK_ERROR_DEVICE_LOST', 'lost', 'the device was lost'],
    ['CUDA failure 2: out of memory ; GPU=0', 'memory', 'the device is out of memory'],
    ['Buffer size (9) exceeds the max buffer size limit (8)', 'memory', 'the device is out of memory'],
    ['shader does not compile', 'other', 'the device failed'],
  ])('%s', async (message, failure, said) => {
    const executable = await reportingFailures(failing(`${message}\n at native.cc:12`)).compile(identity());
    const error = await executable.run(new Map()).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(DeviceError);
    expect(error).toMatchObject({ failure, message: `ort-webgpu on a device: ${said}: ${message}` });
    await expect(executable.release()).resolves.toBeUndefined();
  });

  it('leaves errors of the graph and its feeds alone', async () => {
    const executable = await reportingFailures(ortBackend({ threads: 1 })).compile(identity());
    await expect(executable.run(new Map())).rejects.toThrow(new GraphError('"identity": input "x" is not fed'));
    await executable.release();
  });
});

describe('onnxruntime’s devices', () => {
  it('names the CPU and its threads', async () => {
    expect(await openOrtBackend('cpu', { threads: 1 })).toMatchObject({
      name: 'ort-cpu',
      device: expect.stringMatching(/^CPU \(.+, 1 thread\)$/),
      accelerated: false,
    });
  });

  it('refuses a device that there is not', async () => {
    await expect(openOrtBackend('cpu', { device: '1' })).rejects.toThrow(
      'backend "ort-cpu" cannot be used: it has no devices to choose from, so not "1" either',
    );
    await expect(openOrtBackend('cuda', { device: 'tesla' })).rejects.toThrow(
      'expected a device\'s number, got "tesla"',
    );
  });

  it('tells a GPU in software from a real one by the drivers that are loaded', () => {
    const swiftshader = '/usr/lib/chromium/libvk_swiftshader.so';
    const mesa = ['/usr/lib/libvulkan.so.1', '/usr/lib/libvulkan_lvp.so'];
    expect(driversAmong([swiftshader], true)).toEqual({ text: 'SwiftShader, a GPU in software', software: true });
    expect(driversAmong(mesa, true)).toEqual({ text: 'llvmpipe, a GPU in software', software: true });
    expect(driversAmong([...mesa, '/usr/lib/libGLX_nvidia.so.0'], true)).toEqual({ text: 'NVIDIA', software: false });
    const radeon = [...mesa, '/usr/lib/libvulkan_radeon.so'];
    expect(driversAmong(radeon, true)).toEqual({ text: 'AMD', software: false });
    // Its driver is installed, but there is no such device: what computes is Mesa's on the CPU.
    expect(driversAmong(radeon, false)).toEqual({ text: 'llvmpipe, a GPU in software', software: true });
    expect(driversAmong(['/usr/lib/libc.so.6', '/usr/lib/libvulkan.so.1'], true)).toEqual({
      text: '',
      software: false,
    });
  });
});
