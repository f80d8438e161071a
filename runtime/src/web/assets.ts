/** Where one build of onnxruntime-web has its files. Without it onnxruntime-web looks beside its own script. */
export interface OrtFiles {
  /** Address of the module, such as `ort-wasm-simd-threaded.mjs`. */
  readonly mjs: string | URL;
  /** Address of the WebAssembly binary, or its bytes, for a context that may not fetch. */
  readonly wasm: string | URL | ArrayBuffer;
}

/** Sets the files in an environment of onnxruntime-web; counts until its first session is created. */
export function useOrtFiles(
  env: { wasmPaths?: unknown; wasmBinary?: ArrayBufferLike | Uint8Array },
  { mjs, wasm }: OrtFiles,
): void {
  const address = (file: string | URL) => String(file);
  if (wasm instanceof ArrayBuffer) {
    env.wasmPaths = { mjs: address(mjs) };
    env.wasmBinary = wasm;
  } else {
    env.wasmPaths = { mjs: address(mjs), wasm: address(wasm) };
  }
}
