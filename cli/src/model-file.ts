import { stat } from 'node:fs/promises';
import { basename, dirname, posix } from 'node:path';
import type { ExternalReader } from '@whet/compiler';
import type { Preprocessing } from '@whet/runtime';
import { isArchive } from '@whet/runtime/format';
import type { ModelFile } from '@whet/trainer';
import { externalDataReader } from './external-data.js';
import { readNamedFile } from './named-file.js';

/** What `--model` names: an ONNX file, or a bundle, whose whole network is the model. */
export interface NamedModel {
  readonly file: ModelFile;
  /** How the model of a bundle is read, as the bundle says. */
  readonly reading?: {
    readonly features: string;
    readonly levels: number;
    readonly preprocessing: Preprocessing;
  };
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );

async function networkOfBundle(place: string): Promise<NamedModel> {
  const { readBundle } = await import('@whet/runtime/node');
  const { manifest, contents } = await readBundle(place);
  const { name, patterns, preprocessing, provenance, weights, files } = manifest;
  const { features, levels = [] } = provenance as { readonly features?: unknown; readonly levels?: readonly string[] };
  const head = Object.values(patterns).find(({ moving, graphs }) => moving.length === 0 && graphs.encode !== null);
  const encode = head?.graphs.encode;
  if (typeof features !== 'string' || typeof encode !== 'string') {
    throw new Error(`${place}: expected a bundle of an ONNX model with a pattern that moves the head alone`);
  }
  const { dequantizeOnnx } = await import('@whet/compiler');
  const folder = posix.dirname(encode);
  const external: ExternalReader = (location, offset, length) => {
    const bytes = contents.get(posix.join(folder, location));
    if (bytes && offset + length <= bytes.length) return bytes.subarray(offset, offset + length);
    throw new Error(`bytes ${offset} to ${offset + length} of "${location}", which has ${bytes?.length ?? 'none'}`);
  };
  return {
    file: {
      // What computes with bytes is trained as the numbers that these stand for.
      bytes: dequantizeOnnx(contents.get(encode) as Uint8Array, external),
      fileName: `${name}/${encode}`,
      identity: files[weights]?.sha256 as string,
    },
    reading: { features, levels: levels.length, preprocessing },
  };
}

/** Reads what `--model` names. Throws saying what was expected there. */
export async function readNamedModel(path: string): Promise<NamedModel> {
  if (isArchive(path) || (await isFolder(path))) return networkOfBundle(path);
  return {
    file: {
      bytes: await readNamedFile(path, 'an ONNX model, or a bundle'),
      fileName: basename(path),
      external: externalDataReader(dirname(path)),
    },
  };
}
