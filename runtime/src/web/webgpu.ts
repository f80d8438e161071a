import type { InferenceSession } from 'onnxruntime-common';
import { BundleError } from '../errors.js';
import { type BundleSource, externalDataOption } from '../source.js';
import { type OrtFiles, useOrtFiles } from './assets.js';
import { sessionOf } from './breathe.js';

interface GpuDevice extends EventTarget {
  readonly lost: Promise<{ readonly message: string }>;
}

export interface WebGpuOptions {
  readonly files?: OrtFiles | undefined;
  /** A session of the same model on WebAssembly, for the time after the GPU was lost. */
  readonly fallback: BundleSource['createSession'];
  /** Told once, with the reason, when the sessions go on with WebAssembly. */
  readonly onLost?: ((reason: string) => void) | undefined;
}

/** Milliseconds after which a run on a device that never answers counts as lost. */
const SILENCE_MS = 60_000;

/**
 * What creates sessions on WebGPU. Values live on the host between runs, so where the GPU is lost, runs out of memory or fails
 * in any other way, the run under way is taken again on WebAssembly, and so are all later ones of all its sessions:
 * a caller gets the same result, later. Throws {@link BundleError} where onnxruntime-web has no WebGPU.
 */
export async function openWebGpu({ files, fallback, onLost }: WebGpuOptions) {
  const ort = await import('onnxruntime-web/webgpu');
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = 'error';
  if (files) useOrtFiles(ort.env.wasm, files);
  let lost: string | undefined;
  let announce: (reason: string) => void = () => {};
  const ended = new Promise<string>((resolve) => {
    announce = resolve;
  });
  const lose = (reason: string) => {
    if (lost !== undefined) return;
    lost = reason;
    announce(reason);
    onLost?.(reason);
  };
  let device: GpuDevice | undefined;
  const watch = async () => {
    if (device) return;
    device = (await ort.env.webgpu.device) as unknown as GpuDevice;
    device.lost.then(({ message }) => lose(message || 'the device was lost'));
    device.addEventListener('uncapturederror', (event) => {
      lose((event as Event & { error?: { message: string } }).error?.message ?? 'an error of the device');
    });
  };

  return async function createSession(
    model: Uint8Array,
    weights?: ReadonlyMap<string, Uint8Array>,
  ): Promise<InferenceSession> {
    let primary: InferenceSession | undefined;
    try {
      if (lost === undefined) {
        primary = (await ort.InferenceSession.create(model, {
          executionProviders: ['webgpu'],
          ...externalDataOption(weights),
          graphOptimizationLevel: 'all',
          // Warnings, such as of nodes that WebGPU leaves to the CPU, would be errors in a page's console.
          logSeverityLevel: 3,
        })) as InferenceSession;
        await watch();
      }
    } catch (cause) {
      if (!device)
        throw new BundleError(`WebGPU: onnxruntime-web does not start: ${(cause as Error).message}`, { cause });
      lose((cause as Error).message);
    }
    let secondary: Promise<InferenceSession> | undefined;
    const later = () => {
      secondary ??= fallback(model, weights);
      return secondary;
    };
    const runPrimary = async (feeds: InferenceSession.FeedsType) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const silence = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no answer in ${SILENCE_MS / 1000} s`)), SILENCE_MS);
      });
      try {
        const failed = ended.then((reason) => Promise.reject(new Error(reason)));
        return await Promise.race([(primary as InferenceSession).run(feeds), failed, silence]);
      } finally {
        clearTimeout(timer);
      }
    };
    const run = async (feeds: InferenceSession.FeedsType) => {
      if (primary && lost === undefined) {
        try {
          const outputs = await runPrimary(feeds);
          // A lost device goes on without a word, so what it returned counts only if it is still there.
          if (lost === undefined) return outputs;
        } catch (cause) {
          lose((cause as Error).message);
        }
      }
      return (await later()).run(feeds);
    };
    const release = async () => {
      if (primary && lost === undefined) await primary.release();
      await (await secondary)?.release();
    };
    return sessionOf(primary ?? (await later()), run, release);
  };
}
