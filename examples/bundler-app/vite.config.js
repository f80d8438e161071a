export default {
  base: './',
  // The WebAssembly of onnxruntime-web is named in main.js, so its script need not carry another copy.
  resolve: { conditions: ['onnxruntime-web-use-extern-wasm', 'module', 'browser'] },
};
