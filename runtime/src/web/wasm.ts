import type { InferenceSession } from 'onnxruntime-common';
import * as ort from 'onnxruntime-web/wasm';
import { externalDataOption } from '../source.js';
import { type OrtFiles, useOrtFiles } from './assets.js';
import { breathe } from './breathe.js';

export interface WasmOptions {
  readonly threads?: number | undefined;
  readonly files?: OrtFiles | undefined;
}

/** The version of onnxruntime-web that runs the graphs. */
export const ortVersion: string = ort.env.versions.web ?? ort.env.versions.common;

/** Threads to ask for: 1 unless the page is isolated from other origins and may share memory, else the cores there are, at most four. */
export function usableThreads(): number {
  if (!(globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated) return 1;
  // WebKitGTK isolates a page, and gives it no memory to share all the same.
  if (typeof SharedArrayBuffer === 'undefined') return 1;
  return Math.max(1, Math.min(4, globalThis.navigator?.hardwareConcurrency ?? 1));
}

/** A session on WebAssembly. It lets the thread's other events in before a run, so that a worker hears of a cancel. */
export async function createWasmSession(
  model: Uint8Array,
  { threads = 1, files }: WasmOptions,
  weights?: ReadonlyMap<string, Uint8Array>,
): Promise<InferenceSession> {
  ort.env.wasm.numThreads = threads;
  if (files) useOrtFiles(ort.env.wasm, files);
  const session = (await ort.InferenceSession.create(model, {
    executionProviders: ['wasm'],
    ...externalDataOption(weights),
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
  })) as InferenceSession;
  return breathe(session);
}
