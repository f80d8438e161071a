import { readChecked } from './bundle-files.js';
import { BundleError } from './errors.js';
import type { Manifest, PatternManifest } from './manifest.js';
import {
  constantField,
  ELEMENT,
  FIELD,
  intAttribute,
  intsAttribute,
  nodeField,
  opsetField,
  textAttribute,
  valueMessage,
  wholeNumbersField,
} from './onnx-message.js';
import { pixelsToTensor } from './pixels.js';
import type { Profile, ProfileValue } from './profile.js';
import { bytesField, joinBytes, numberField, numberIn, readFields, textOf } from './protobuf.js';
import type { BundleSource } from './source.js';

// A profile and its bundle as one ONNX model: their graphs side by side in one, with weights and values inside.

export interface FreezeOptions {
  /**
   * What the model takes: `tensor` (when absent), preprocessed images `[N, C, H, W]` in float32, or `pixels`, `[N, H, W, C]` of bytes and of
   * any size, which are brought to the network's as a whole, whatever their proportions.
   */
  readonly input?: 'tensor' | 'pixels';
  /**
   * Makes a frozen part that stands as its exporter wrote it, in another version of the operator set than the rest, into one of today's, all
   * its values inside: as `@whet/compiler` reads and writes it.
   */
  readonly upgrade?: (model: Uint8Array, weights: ReadonlyMap<string, Uint8Array>) => Uint8Array;
}

type Rename = (name: string) => string;

/** A message, with some of its fields made anew. */
function rewritten(
  message: Uint8Array,
  change: Readonly<Record<number, (content: Uint8Array) => Uint8Array | undefined>>,
): Uint8Array {
  const fields: Uint8Array[] = [];
  readFields(message, (number, content, whole) => {
    const made = change[number] ? change[number](content) : whole;
    if (made) fields.push(made);
  });
  return joinBytes(fields);
}

const renamedText = (number: number, rename: Rename) => (content: Uint8Array) =>
  bytesField(number, rename(textOf(content)));

/** A graph's fields with all its values called otherwise, those of graphs in it too. */
function renamedGraph(graph: Uint8Array, rename: Rename, weights: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const inner = (number: number) => (content: Uint8Array) => bytesField(number, renamedGraph(content, rename, weights));
  const attribute = (content: Uint8Array) =>
    bytesField(
      FIELD.node.attribute,
      rewritten(content, {
        [FIELD.attribute.graph]: inner(FIELD.attribute.graph),
        [FIELD.attribute.graphs]: inner(FIELD.attribute.graphs),
      }),
    );
  const node = (content: Uint8Array) =>
    bytesField(
      FIELD.graph.node,
      rewritten(content, {
        [FIELD.node.input]: renamedText(FIELD.node.input, rename),
        [FIELD.node.output]: renamedText(FIELD.node.output, rename),
        [FIELD.node.name]: renamedText(FIELD.node.name, rename),
        [FIELD.node.attribute]: attribute,
      }),
    );
  const info = (number: number) => (content: Uint8Array) =>
    bytesField(number, rewritten(content, { 1: renamedText(1, rename) }));
  return rewritten(graph, {
    [FIELD.graph.node]: node,
    [FIELD.graph.initializer]: (content) => bytesField(FIELD.graph.initializer, ownTensor(content, rename, weights)),
    [FIELD.graph.input]: info(FIELD.graph.input),
    [FIELD.graph.output]: info(FIELD.graph.output),
    [FIELD.graph.valueInfo]: info(FIELD.graph.valueInfo),
    [FIELD.graph.sparse]: (content) =>
      bytesField(
        FIELD.graph.sparse,
        rewritten(content, { 1: (values) => bytesField(1, ownTensor(values, rename, weights)) }),
      ),
  });
}

/** A tensor called otherwise, its values inside where they stood beside the model. */
function ownTensor(tensor: Uint8Array, rename: Rename, weights: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const external: Record<string, string> = {};
  const fields = rewritten(tensor, {
    [FIELD.tensor.name]: renamedText(FIELD.tensor.name, rename),
    [FIELD.tensor.location]: () => undefined,
    [FIELD.tensor.external]: (entry) => {
      const texts: Record<number, string> = {};
      readFields(entry, (number, content) => {
        texts[number] = textOf(content);
      });
      external[texts[1] ?? ''] = texts[2] ?? '';
      return undefined;
    },
  });
  const { location, offset = '0', length } = external;
  if (location === undefined) return fields;
  const file = weights.get(location) as Uint8Array;
  const [from, end] = [Number(offset), length === undefined ? file.length : Number(offset) + Number(length)];
  return joinBytes([fields, bytesField(FIELD.tensor.raw, file.subarray(from, end))]);
}

interface ModelParts {
  readonly graph: Uint8Array;
  readonly irVersion: number;
  /** Versions of operator sets, by their domains. */
  readonly opsets: ReadonlyMap<string, number>;
  /** Fields of functions that the model has of its own. */
  readonly functions: readonly Uint8Array[];
}

function partsOf(model: Uint8Array): ModelParts {
  let graph = new Uint8Array();
  let irVersion = 0;
  const opsets = new Map<string, number>();
  const functions: Uint8Array[] = [];
  readFields(model, (number, content, whole) => {
    if (number === FIELD.model.graph) graph = content as Uint8Array<ArrayBuffer>;
    else if (number === FIELD.model.irVersion) irVersion = numberIn(whole);
    else if (number === FIELD.model.functions) functions.push(whole);
    else if (number === FIELD.model.opset) {
      let [domain, version] = ['', 0];
      readFields(content, (part, text, field) => {
        if (part === 1) domain = textOf(text);
        else if (part === 2) version = numberIn(field);
      });
      opsets.set(domain === 'ai.onnx' ? '' : domain, version);
    }
  });
  return { graph, irVersion, opsets, functions };
}

/** Nodes that make a network's images of pixels, and what they read. */
function pixelNodes({ preprocessing: p }: Manifest): Uint8Array[] {
  const { channels, height, width } = p;
  // What becomes of a pixel is a line: 0 and 255 tell it.
  const ends = [0, 255].map((level) => pixelsToTensor(new Uint8Array(width * height * channels).fill(level), p)) as [
    Float32Array,
    Float32Array,
  ];
  const at = (end: Float32Array, channel: number) => end[channel * width * height] as number;
  const shift = Float32Array.from({ length: channels }, (_, c) => at(ends[0], c));
  const scale = Float32Array.from({ length: channels }, (_, c) => (at(ends[1], c) - at(ends[0], c)) / 255);
  return [
    wholeNumbersField('pixels/size', [height, width]),
    constantField('pixels/scale', ELEMENT.float, [1, channels, 1, 1], scale),
    constantField('pixels/shift', ELEMENT.float, [1, channels, 1, 1], shift),
    ...(p.bgr
      ? [
          wholeNumbersField(
            'pixels/order',
            Array.from({ length: channels }, (_, c) => channels - 1 - c),
          ),
          nodeField('Gather', ['pixels', 'pixels/order'], ['pixels/ordered'], [intAttribute('axis', 3)]),
        ]
      : []),
    nodeField('Cast', [p.bgr ? 'pixels/ordered' : 'pixels'], ['pixels/float'], [intAttribute('to', ELEMENT.float)]),
    nodeField('Transpose', ['pixels/float'], ['pixels/planes'], [intsAttribute('perm', [0, 3, 1, 2])]),
    // Whole sizes, without `axes`: onnxruntime 1.19 moves the transpose behind a Resize that has these, and gets it wrong.
    nodeField('Shape', ['pixels/planes'], ['pixels/counts'], [intAttribute('end', 2)]),
    nodeField('Concat', ['pixels/counts', 'pixels/size'], ['pixels/sizes'], [intAttribute('axis', 0)]),
    nodeField(
      'Resize',
      ['pixels/planes', '', '', 'pixels/sizes'],
      ['pixels/sized'],
      [
        intAttribute('antialias', 1),
        textAttribute('coordinate_transformation_mode', 'half_pixel'),
        textAttribute('mode', 'linear'),
      ],
    ),
    nodeField('Mul', ['pixels/sized', 'pixels/scale'], ['pixels/scaled']),
    nodeField('Add', ['pixels/scaled', 'pixels/shift'], ['images']),
  ];
}

/** The operator sets of both, which have to be the same where both have one. */
function joinedOpsets(parts: readonly ModelParts[], where: string): Map<string, number> {
  const all = new Map<string, number>();
  for (const { opsets } of parts) {
    for (const [domain, version] of opsets) {
      const other = all.get(domain);
      if (other !== undefined && other !== version) {
        throw new BundleError(
          `${where}: expected graphs of one operator set, got ${other} and ${version} of "${domain || 'ai.onnx'}": the frozen part stands as its exporter wrote it (\`whet freeze\` writes it anew)`,
        );
      }
      all.set(domain, version);
    }
  }
  return all;
}

/** What `Bundle.freeze` makes. */
export async function freezeProfile(
  source: BundleSource,
  { manifest, digest }: { readonly manifest: Manifest; readonly digest: string },
  profile: Profile,
  { input = 'tensor', upgrade }: FreezeOptions,
): Promise<Uint8Array> {
  const { graphs } = manifest.patterns[profile.pattern] as PatternManifest;
  const encodePath = graphs.encodeQuery ?? graphs.encode;
  const paths = [graphs.predict, ...(encodePath ? [encodePath] : []), manifest.weights];
  const files = await readChecked(source, paths, manifest);
  const name = manifest.weights.slice(manifest.weights.lastIndexOf('/') + 1);
  const weights = new Map([[name, files.get(manifest.weights) as Uint8Array]]);
  const where = `${source.location}, pattern "${profile.pattern}"`;

  const predict = partsOf(files.get(graphs.predict) as Uint8Array);
  const written = encodePath ? partsOf(files.get(encodePath) as Uint8Array) : undefined;
  const isOlder = written !== undefined && written.opsets.get('') !== predict.opsets.get('');
  const encode =
    isOlder && upgrade ? partsOf(upgrade(files.get(encodePath as string) as Uint8Array, weights)) : written;
  const parts = [...(encode ? [encode] : []), predict];
  const opsets = joinedOpsets(parts, where);
  // What `encode` makes is what `predict` takes; without one that takes the images. All else is called by its graph.
  const between = encode ? 'features' : 'images';
  const renaming =
    (to: string, kept: Readonly<Record<string, string>>): Rename =>
    (from) =>
      from === '' ? '' : Object.hasOwn(kept, from) ? (kept[from] as string) : `${to}/${from}`;
  const ofEncode = renaming('encode', { images: 'images', features: between });
  const ofPredict = renaming('predict', { features: between, probabilities: 'probabilities' });

  const { channels, height, width } = manifest.preprocessing;
  const body: Uint8Array[] = [];
  const append = (graph: Uint8Array, rename: Rename) => {
    readFields(renamedGraph(graph, rename, weights), (number, _, whole) => {
      if (number === FIELD.graph.node || number === FIELD.graph.initializer || number === FIELD.graph.sparse)
        body.push(whole);
    });
  };
  if (input === 'pixels') body.push(...pixelNodes(manifest));
  const values = (rename: Rename, graph: Uint8Array) => {
    for (const [key, { shape, data }] of valuesOf(graph, profile.values)) {
      body.push(constantField(rename(key), ELEMENT.float, shape, data));
    }
  };
  if (encode) {
    values(ofEncode, encode.graph);
    append(encode.graph, ofEncode);
  }
  values(ofPredict, predict.graph);
  append(predict.graph, ofPredict);
  const image =
    input === 'pixels'
      ? valueMessage('pixels', ELEMENT.uint8, ['N', 'height', 'width', channels])
      : valueMessage('images', ELEMENT.float, ['N', channels, height, width]);
  const graph = [
    bytesField(FIELD.graph.name, manifest.name),
    ...body,
    bytesField(FIELD.graph.input, image),
    bytesField(FIELD.graph.output, valueMessage('probabilities', ELEMENT.float, ['N', profile.classes.length])),
  ];
  const metadata = {
    classes: JSON.stringify(profile.classes),
    bundle: `${manifest.name} ${manifest.version}, ${digest}`,
    pattern: profile.pattern,
    preprocessing: JSON.stringify(manifest.preprocessing),
  };
  return joinBytes([
    numberField(FIELD.model.irVersion, Math.max(...parts.map(({ irVersion }) => irVersion))),
    bytesField(FIELD.model.producer, 'whet'),
    ...Array.from(opsets, ([domain, version]) => opsetField(domain, version)),
    ...parts.flatMap(({ functions }) => functions),
    bytesField(FIELD.model.graph, graph),
    ...Object.entries(metadata).map(([key, said]) =>
      bytesField(FIELD.model.metadata, [bytesField(1, key), bytesField(2, said)]),
    ),
  ]);
}

/** The values of a profile that a graph takes. */
function valuesOf(graph: Uint8Array, values: ReadonlyMap<string, ProfileValue>): [string, ProfileValue][] {
  const taken: [string, ProfileValue][] = [];
  readFields(graph, (number, content) => {
    if (number !== FIELD.graph.input) return;
    readFields(content, (part, name) => {
      const known = part === 1 ? values.get(textOf(name)) : undefined;
      if (known) taken.push([textOf(name), known]);
    });
  });
  return taken;
}
