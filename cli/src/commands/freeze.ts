import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { defaultBundle } from '../arguments.js';
import { bytes } from '../format.js';
import { readNamedFile } from '../named-file.js';

interface FreezeCommandOptions {
  readonly profile: string;
  readonly out: string;
  readonly pixels?: boolean;
}

export function freezeCommand(): Command {
  return new Command('freeze')
    .description('Write a profile and its bundle as one ONNX model, images to probabilities, for any ONNX runtime.')
    .argument('[bundle]', 'folder or .whet file of the bundle the profile was made with', defaultBundle)
    .option('--profile <file>', 'the profile', 'profile.safetensors')
    .option('--out <file>', 'where the model goes', 'model.onnx')
    .option('--pixels', 'take bytes [N, H, W, C] of any size in place of preprocessed tensors [N, C, H, W]')
    .action(runFreeze);
}

async function runFreeze(directory: string, options: FreezeCommandOptions): Promise<void> {
  const { readProfile } = await import('@whet/runtime');
  const { loadBundle } = await import('@whet/runtime/node');
  const { reencodeOnnx } = await import('@whet/compiler');
  const stored = await readNamedFile(options.profile, 'a profile of `whet adapt`');
  const wanted = readProfile(stored).pattern;
  const bundle = await loadBundle(directory, {
    patterns: ({ patterns }) => [wanted].filter((name) => Object.hasOwn(patterns, name)),
    preload: false,
  });
  const profile = bundle.profileFromBytes(stored);
  const input = options.pixels ? 'pixels' : 'tensor';
  const model = await bundle.freeze(profile, { input, upgrade: reencodeOnnx });
  await writeFile(options.out, model);
  const { channels, height, width } = bundle.manifest.preprocessing;
  const takes = options.pixels
    ? `"pixels" [N, height, width, ${channels}], bytes of any size, brought to ${height} x ${width} as a whole`
    : `"images" [N, ${channels}, ${height}, ${width}], preprocessed as its metadata says`;
  process.stdout.write(
    `${options.out}: ${bytes(model.byteLength)}, ${takes}\n` +
      `"probabilities" [N, ${profile.classes.length}]: ${profile.classes.join(', ')}\n`,
  );
}
