export default {
  base: './',
  // The worker loads what it seldom needs when it does, which its older form cannot.
  worker: { format: 'es' },
  // As it finds the worker beside itself; `vite` alone, while one develops, would move it.
  optimizeDeps: { exclude: ['@whet/runtime'] },
};
