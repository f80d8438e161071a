import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chooseBackend, type Probe, probeBackend, TRIAL_TOLERANCE } from '@whet/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runWhet } from '../command/whet-process.js';
import { useSoftwareGpu } from './gpu.js';

useSoftwareGpu();

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-doctor-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** A program in place of the one that probes. */
async function program(name: string, code: string): Promise<string> {
  const path = join(folder, `${name}.mjs`);
  await writeFile(path, code);
  return path;
}

describe('whet doctor', { timeout: 180_000 }, () => {
  it('times a meta-gradient on each backend that can be used, and says why not on the others', async () => {
    const backends = ['tfjs-wasm', 'tfjs-node-gpu'];
    const { out } = await runWhet(folder, ['doctor', '--json', '--backend', ...backends]);
    const [wasm, gpu] = JSON.parse(out) as [Probe, Probe];
    if (!wasm.usable || !wasm.trial) throw new Error(`${wasm.name} has no trial`);
    expect(wasm.device).toMatch(/^CPU \(/);
    expect(wasm.trial.run).toBeGreaterThan(0);
    expect(wasm.trial.error).toBeLessThan(TRIAL_TOLERANCE);
    expect(gpu).toMatchObject({ name: 'tfjs-node-gpu', usable: false, reason: expect.stringContaining('npm install') });
  });

  it('prints a table and a sentence per backend that is missing', async () => {
    const { out } = await runWhet(folder, ['doctor', '--backend', 'ort-cpu', 'tfjs-node-gpu']);
    expect(out).toMatch(/ort-cpu .*CPU .*onnxruntime-node \d.* ms .* ms .*e-/);
    expect(out).not.toContain('WRONG');
    expect(out).toMatch(/^tfjs-node-gpu: the package @tensorflow\/tfjs-node-gpu is not installed/m);
  });
});

describe('a probe', { timeout: 180_000 }, () => {
  it('outlives a native library that ends its process, and says how', async () => {
    const path = await program('abort', 'process.on("message", () => { console.error("boom"); process.abort(); });');
    const probe = await probeBackend('ort-webgpu', { program: path });
    expect(probe).toMatchObject({ name: 'ort-webgpu', usable: false });
    expect(probe.usable ? '' : probe.reason).toMatch(/^its native library crashed: the process was ended by SIGABRT/);
  });

  it('gives up on one that hangs', async () => {
    const path = await program('hang', 'process.on("message", () => {});');
    const probe = await probeBackend('ort-webgpu', { program: path, timeout: 500 });
    expect(probe).toEqual({ name: 'ort-webgpu', usable: false, reason: 'it did not answer within 0.5 s' });
  });

  it('leaves a GPU in software behind the CPU', async () => {
    const { backend, passedOver } = await chooseBackend({ threads: 1 });
    if (backend.accelerated) return;
    expect(backend.name).toBe('ort-cpu');
    expect(passedOver.map(({ name }) => name)).toEqual(['ort-cuda', 'tfjs-node-gpu', 'ort-webgpu', 'tfjs-webgpu']);
    for (const { reason } of passedOver) expect(reason).not.toBe('');
    for (const { name, reason } of passedOver.slice(2)) {
      const probe = await probeBackend(name);
      expect(reason).toContain(probe.usable ? 'SwiftShader' : probe.reason);
    }
  });

  it('does not go to the CPU where a device was named that no GPU has', async () => {
    await expect(chooseBackend({ device: 'no such card' })).rejects.toThrow(
      /^backend "auto" cannot be used: no GPU is "no such card": ort-cuda: .*; tfjs-webgpu: /,
    );
  });
});
