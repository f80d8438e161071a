import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { MissingPackageError, readProfile } from '@whet/runtime';
import type { HtmlParts } from '@whet/runtime/html';
import { Command } from 'commander';
import { count, defaultBundle } from '../arguments.js';
import { checkFolders } from '../check-folders.js';
import { bytes } from '../format.js';
import { readNamedFile } from '../named-file.js';

interface FreezeCommandOptions {
  readonly profile: string;
  readonly out?: string;
  readonly pixels?: boolean;
  readonly html?: string;
  readonly opset?: number;
  readonly ir?: number;
}

export function freezeCommand(): Command {
  return new Command('freeze')
    .description('Write a profile and its bundle as one ONNX model, images to probabilities, for any ONNX runtime.')
    .argument('[bundle]', 'folder or .whet file of the bundle the profile was made with', defaultBundle)
    .option('--profile <file>', 'the profile', 'profile.safetensors')
    .option('--out <file>', 'where the model goes (model.onnx when absent, nowhere with --html)')
    .option('--pixels', 'take bytes [N, H, W, C] of any size in place of preprocessed tensors [N, C, H, W]')
    .option('--opset <n>', 'operator set that the model declares, where its operators are the same there', count)
    .option('--ir <n>', 'IR version that it declares; what goes with the operator set when absent', count)
    .option(
      '--html <file>',
      'write a page in place of the model, or beside it with --out: one file that opens from a disk and asks for pictures',
    )
    .action(runFreeze);
}

async function runFreeze(directory: string, options: FreezeCommandOptions): Promise<void> {
  const { pixels, html, out = html === undefined ? 'model.onnx' : undefined } = options;
  await checkFolders([html, out]);
  const { loadBundle } = await import('@whet/runtime/node');
  const { reencodeOnnx, withVersions } = await import('@whet/compiler');
  const stored = await readNamedFile(options.profile, 'a profile of `whet adapt`');
  const wanted = readProfile(stored).pattern;
  const bundle = await loadBundle(directory, {
    patterns: ({ patterns }) => [wanted].filter((name) => Object.hasOwn(patterns, name)),
    preload: false,
  });
  const profile = bundle.profileFromBytes(stored);
  const { classes } = profile;
  const { preprocessing } = bundle.manifest;
  const frozen = (input: 'pixels' | 'tensor') => bundle.freeze(profile, { input, upgrade: reencodeOnnx });
  if (html !== undefined) await writePageOf(html, { classes, preprocessing, model: await frozen('pixels') });
  if (out === undefined) return;
  const own = await frozen(pixels ? 'pixels' : 'tensor');
  const { opset, ir } = options;
  const model =
    opset === undefined && ir === undefined ? own : withVersions(own, { ...(opset && { opset }), ...(ir && { ir }) });
  await writeFile(out, model);
  const { channels, height, width } = preprocessing;
  const takes = pixels
    ? `"pixels" [N, height, width, ${channels}], bytes of any size, brought to ${height} x ${width} as a whole`
    : `"images" [N, ${channels}, ${height}, ${width}], preprocessed as its metadata says`;
  process.stdout.write(
    `${out}: ${bytes(model.byteLength)}, ${takes}\n` +
      `"probabilities" [N, ${classes.length}]: ${classes.join(', ')}\n`,
  );
}

/** Writes a page that classifies by a model, and says how large it is. */
async function writePageOf(file: string, parts: Omit<HtmlParts, 'script' | 'wasm'>): Promise<void> {
  const { sizeProblem, writeHtml } = await import('@whet/runtime/html');
  const read = async (name: string) => readFile(fileURLToPath(import.meta.resolve(name)));
  const wasm = await read('onnxruntime-web/ort-wasm-simd-threaded.wasm').catch(
    MissingPackageError.of('onnxruntime-web', 'whet freeze --html'),
  );
  const script = (await read('@whet/runtime/html-script.js')).toString();
  const { html, bytes: sizes } = await writeHtml({ ...parts, script, wasm });
  await writeFile(file, html);
  const problem = sizeProblem(sizes);
  process.stdout.write(
    `${file}: ${bytes(sizes.all)}, opens in a browser from a disk\n${parts.classes.join(', ')}\n${problem ? `${problem}\n` : ''}`,
  );
}
