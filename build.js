import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

// Builds all packages, what changed alone, and the page: npm run build. The page needs the runtime only, and is bundled while the other
// packages are compiled.
const root = fileURLToPath(new URL('.', import.meta.url));
const compiler = fileURLToPath(new URL('bin/tsc', import.meta.resolve('typescript/package.json')));
// Each checks anew what the files of the others need too.
const checkers = ['--checkers', `${Math.min(4, Math.ceil(availableParallelism() / 2))}`];

/** Runs a program of Node.js; throws where it fails, which it has said itself. */
const run = (...args) =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit' });
    child.once('error', reject);
    child.once('exit', (code, signal) => (code === 0 ? resolve() : reject(new Error(`${args[0]}: ${signal ?? code}`))));
  });

try {
  await run(compiler, '-b', 'server/page', ...checkers);
  const packages = run(compiler, '-b', ...checkers).then(() =>
    run(compiler, '-p', 'server/page/tsconfig.page.json', ...checkers),
  );
  const outcomes = await Promise.allSettled([
    packages,
    // Pages that the page makes have the script in them.
    run('runtime/build-script.js').then(() => run('server/page/dist/node/build.js')),
  ]);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
} catch (error) {
  console.error(`not built: ${error.message}`);
  process.exitCode = 1;
}
