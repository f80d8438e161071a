import { createHash } from 'node:crypto';
import { decodeModel, type OnnxModel } from '@whet/compiler';
import type { Manifest } from '@whet/runtime';
import { isFileName, readSafetensors, type StoredTensor } from '@whet/runtime/format';
import { openBundleFiles, readBundle } from '@whet/runtime/node';
import * as z from 'zod';
import { preprocessingSetting } from '../preprocessing.js';
import { type BundlePattern, bundleFiles, type StartingValue } from './files.js';
import { ExportError } from './folder.js';

const fileName = z.string().refine(isFileName, { error: 'expected the name of a file inside the bundle' });

/** What differs in a manifest of format 1: each pattern kept its own starts, and graphs their own weights. */
const schema1 = z.looseObject({
  schema: z.literal('whet-bundle/1'),
  preprocessing: preprocessingSetting,
  normalization: z.string(),
  head: z.string(),
  labels: z.optional(z.array(z.string())),
  patterns: z.record(
    z.string(),
    z.looseObject({
      init: fileName,
      graphs: z
        .looseObject({ encode: z.nullable(fileName), start: fileName, step: fileName, predict: fileName })
        .catchall(z.nullable(fileName)),
      moving: z.array(
        z.object({ name: z.string(), shape: z.array(z.number()), moving: z.number(), entries: z.number() }),
      ),
    }),
  ),
  files: z.record(fileName, z.object({ sha256: z.string(), bytes: z.number() })),
});
type Manifest1 = z.infer<typeof schema1>;

type Read = (path: string) => Promise<Uint8Array>;
const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

/**
 * The files of a bundle of any format, as one of today's that predicts the same bit for bit: its profiles stay its own. Throws
 * {@link ExportError} or `BundleError` naming the file that does not fit.
 */
export async function migrateBundle(place: string): Promise<{ manifest: Manifest; contents: Map<string, Uint8Array> }> {
  const read = openBundleFiles(place);
  const text = new TextDecoder().decode(await read('manifest.json'));
  const json: unknown = parseJson(text, place);
  if ((json as { schema?: unknown } | null)?.schema !== 'whet-bundle/1') return readBundle(place);
  const parsed = schema1.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const what = `${issue?.path.join('.')}: ${issue?.message}`;
    throw new ExportError(`${place}/manifest.json: ${what}`, { cause: parsed.error });
  }
  const old = parsed.data;
  const checked = async (path: string): Promise<Uint8Array> => {
    const bytes = await read(path);
    const [expected, actual] = [old.files[path]?.sha256, sha256(bytes)];
    if (actual === expected) return bytes;
    throw new ExportError(`${place}/${path}: SHA-256: expected ${expected}, got ${actual}`);
  };
  const patterns: BundlePattern[] = [];
  for (const name of Object.keys(old.patterns)) patterns.push(await patternOf(old, name, checked));
  const { schema: _, files: __, patterns: ___, ...said } = old;
  return bundleFiles({ ...(said as unknown as Manifest), patterns, formerly: [digest1(old)] });
}

function parseJson(text: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ExportError(`${place}/manifest.json: not JSON: ${(cause as Error).message}`, { cause });
  }
}

/** What profiles of a bundle of format 1 call it by. */
function digest1({ schema, head, normalization, preprocessing, labels, files, patterns }: Manifest1): string {
  const identity = [
    ...Object.entries(files).map(([name, file]) => `${name} ${file.sha256}`),
    ...Object.entries(patterns).map(([name, { graphs, init }]) => `${name} ${JSON.stringify([graphs, init])}`),
  ].sort();
  const form = [schema, head, normalization, JSON.stringify(preprocessing)];
  if (labels) form.push(JSON.stringify(labels));
  return sha256([...form, ...identity].join('\n'));
}

async function patternOf(old: Manifest1, name: string, read: Read): Promise<BundlePattern> {
  const { init, graphs: paths, moving, ...said } = old.patterns[name] as Manifest1['patterns'][string];
  const graphs: Record<string, Uint8Array> = {};
  for (const [graph, path] of Object.entries(paths)) if (path !== null) graphs[graph] = await read(path);
  const { tensors } = readSafetensors(await read(init));
  const predict = decodeModel(graphs['predict'] as Uint8Array);
  const values = new Map<string, StartingValue>();
  for (const { name: value, shape, moving: open, entries } of moving) {
    const stored = tensors.get(value);
    if (!stored) throw new ExportError(`${init}: expected "${value}", got ${[...tensors.keys()].join(', ')}`);
    values.set(value, open === entries ? startOf(stored) : denseStart(predict, value, shape, stored));
  }
  const kept = new Map([...tensors].filter(([value]) => !values.has(value)).map(([key, data]) => [key, startOf(data)]));
  return { ...(said as unknown as BundlePattern), name, graphs, moving: values, kept };
}

const startOf = ({ shape, data }: StoredTensor): StartingValue => ({ shape, data: data as Float32Array });

/** Of a list of moving entries, the whole weight and its mask, as the graph that scatters the list has them. */
function denseStart(
  { initializers, nodes }: OnnxModel,
  name: string,
  shape: readonly number[],
  { data }: StoredTensor,
): StartingValue {
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  /** What is reshaped to a value. */
  const unshaped = (value: string): string => {
    const maker = makers.get(value);
    return maker?.op === 'Reshape' ? unshaped(maker.inputs[0] ?? '') : value;
  };
  const scatter = nodes.find(({ op, inputs }) => op === 'ScatterElements' && unshaped(inputs[2] ?? '') === name);
  const rawOf = (operand: number) => {
    const constant = unshaped(scatter?.inputs[operand] ?? '');
    const found = initializers.find((tensor) => tensor.name === constant)?.rawData;
    if (!found) throw new ExportError(`"${name}": expected a graph that scatters it over a constant, got none`);
    return Uint8Array.from(found).buffer;
  };
  const dense = new Float32Array(rawOf(0));
  const indices = Array.from(new BigInt64Array(rawOf(1)), Number);
  const mask = new Uint8Array(dense.length);
  // Of whole rows the graph has one index for each entry: that of the row.
  const row = dense.length / (shape[0] ?? 1);
  const rows = new Set(indices).size < indices.length;
  for (const index of indices) {
    if (rows) mask.fill(1, index * row, (index + 1) * row);
    else mask[index] = 1;
  }
  const open = dense.filter((_, i) => mask[i]);
  const same = open.length === data.length && open.every((value, i) => Object.is(value, data[i]));
  if (!same)
    throw new ExportError(`"${name}": expected ${data.length} entries of its constant, got ${open.length} others`);
  return { shape, data: dense, mask };
}
