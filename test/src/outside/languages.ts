import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

// What `.ci/run` prepares for the examples in other languages; where it is not, their tests are skipped.

const root = fileURLToPath(new URL('../../../', import.meta.url));

export const runs = (program: string): boolean => spawnSync(program, ['-version'], { stdio: 'ignore' }).status === 0;

/** Python's packages are beside Node's; the machine's own count, too. */
const env = {
  ...process.env,
  PYTHONPATH: [join(root, 'node_modules/.python'), process.env['PYTHONPATH'] ?? ''].join(':'),
};
export const python = {
  env,
  isThere: spawnSync('python3', ['-c', 'import numpy, onnxruntime, PIL'], { env, stdio: 'ignore' }).status === 0,
};

const target = join(root, 'examples/java/target');
export const java = {
  target,
  classPath: [join(target, 'classes'), join(target, 'lib/*')].join(':'),
  isThere: existsSync(join(target, 'lib')) && runs('java'),
};
