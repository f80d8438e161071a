import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadBundle, openBundleFiles } from '@whet/runtime/node';
import express from 'express';
import { InferenceSession, Tensor } from 'onnxruntime-node';

// A predicting service as it is written in an afternoon: the graphs of a bundle behind Express, a request at a time. `bench:load` measures it.
// node minimal-server.js BUNDLE PATTERN PROFILES [constant]: the address is printed. With the last word no graph runs, and every answer is the same.

const [place = '', pattern = '', folder = '', asked] = process.argv.slice(2);
const read = openBundleFiles(place);
// For reading profiles alone.
const bundle = await loadBundle(place, { patterns: [pattern], preload: false });
const { manifest } = bundle;
const weights = { path: manifest.weights, data: await read(manifest.weights) };
const open = async (graph: 'encode' | 'predict') =>
  InferenceSession.create(await read(manifest.patterns[pattern]?.graphs[graph] ?? ''), { externalData: [weights] });
const [encode, predict] = await Promise.all([open('encode'), open('predict')]);
const { channels, height, width } = manifest.preprocessing;

const profiles = await Promise.all(
  (await readdir(folder)).map(async (name) => {
    const { classes, values } = bundle.profileFromBytes(await readFile(join(folder, name)));
    const feeds = [...values].map(([key, { shape, data }]) => [key, new Tensor('float32', data, [...shape])] as const);
    return { classes, feeds: Object.fromEntries(feeds.filter(([key]) => predict.inputNames.includes(key))) };
  }),
);

const constant = {
  predictions: [{ label: '0', probabilities: Object.fromEntries(Array.from({ length: 5 }, (_, i) => [i, 0.2])) }],
};
const app = express();
app.use(express.raw({ limit: '10mb' }));
app.post('/predict', async (request, response) => {
  if (asked === 'constant') return response.json(constant);
  const { classes, feeds } = profiles[Number(request.query['profile']) % profiles.length] as (typeof profiles)[number];
  const pixels = new Float32Array(Uint8Array.from(request.body).buffer);
  const { features } = await encode.run({ images: new Tensor('float32', pixels, [1, channels, height, width]) });
  const { probabilities } = await predict.run({ ...feeds, features: features as Tensor });
  const row = Array.from((probabilities as Tensor).data as Float32Array);
  const label = classes[row.indexOf(Math.max(...row))];
  const probabilitiesOf = Object.fromEntries(row.map((p, i) => [classes[i], p]));
  return response.json({ predictions: [{ label, probabilities: probabilitiesOf }] });
});
const server = app.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.stdout.write(`http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}\n`);
});
