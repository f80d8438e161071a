import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What a machine may lack, and what does not run then. onnxruntime-node's script downloads libraries for CUDA unless it is kept from it. */
const packages = [
  ['onnxruntime-node', 'everything', 'npm install --ignore-scripts onnxruntime-node'],
  ['sharp', 'pictures from files', 'npm install sharp'],
  ['onnxruntime-web', 'whet freeze --html', 'npm install onnxruntime-web'],
  ['@whet/page', 'the page of whet serve, and whet page', 'npm install @whet/page'],
  ['echarts', 'pages with charts: whet report, whet search, --html', 'npm install echarts'],
  ['pg', 'profiles in PostgreSQL', 'npm install pg'],
] as const;

/** The version of a package as this program finds it; undefined where it is not installed. */
function versionOf(name: string): string | undefined {
  let folder: string;
  try {
    folder = dirname(fileURLToPath(import.meta.resolve(name)));
  } catch {
    return undefined;
  }
  for (; folder !== dirname(folder); folder = dirname(folder)) {
    const file = join(folder, 'package.json');
    if (!existsSync(file)) continue;
    const { name: found, version } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
    if (found === name) return version;
  }
  return undefined;
}

/** Rows of a table: each package, its version or what to run, and what it is for. */
export const installedRows = (): string[][] =>
  packages.map(([name, use, install]) => [name, versionOf(name) ?? `not installed: ${install}`, use]);

/** Of an error that a package is not there, or has no library for this machine: what to run; undefined of any other. */
export function installHint({ code, message }: NodeJS.ErrnoException): string | undefined {
  if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') return undefined;
  const missing = packages.find(([name]) => message.includes(`'${name}'`));
  if (missing) return `the package "${missing[0]}" is not installed: ${missing[2]}`;
  if (!/onnxruntime_binding\.node'/.test(message)) return undefined;
  return `onnxruntime-node has no library for ${process.platform} ${process.arch}`;
}
