// Adapts a Whet bundle to labelled images and predicts others, with onnxruntime-node and nothing of Whet.
// node run.mjs BUNDLE SUPPORT QUERY: folders <class>/<image>.png of images of the bundle's size, black on white.
import { readdirSync, readFileSync } from 'node:fs';
import ort from 'onnxruntime-node';
import sharp from 'sharp';

const [bundle, support, query] = process.argv.slice(2);
const manifest = JSON.parse(readFileSync(`${bundle}/manifest.json`));
const { width, height, channels, invert, mean, std } = manifest.preprocessing;
const { graphs, steps, rate } = manifest.patterns[manifest.defaultPattern]; // one that moves the head only: no other values
const open = (file) => ort.InferenceSession.create(`${bundle}/${file}`);
const encode = await open(graphs.encode);
const [start, step, predict] = await Promise.all([graphs.start, graphs.step, graphs.predict].map(open));
const f32 = (data, dims) => new ort.Tensor('float32', Float32Array.from(data), dims);
const run = (session, all) => session.run(Object.fromEntries(session.inputNames.map((name) => [name, all[name]])));

const classes = readdirSync(support).sort();
const list = (dir) =>
  classes.flatMap((label) => readdirSync(`${dir}/${label}`).map((f) => [label, `${dir}/${label}/${f}`]));
const features = async (files) => {
  const pixels = await Promise.all(files.map(([, file]) => sharp(file).toColourspace('b-w').raw().toBuffer()));
  const values = pixels.flatMap((p) => [...p].map((v) => ((invert ? 1 - v / 255 : v / 255) - mean[0]) / std[0]));
  return (await run(encode, { images: f32(values, [files.length, channels, height, width]) })).features;
};
const examples = list(support);
const labels = f32(
  examples.flatMap(([label]) => classes.map((name) => Number(name === label))),
  [examples.length, classes.length],
);
const constants = { features: await features(examples), labels, rate: f32([rate], []) };
let head = await run(start, constants);
for (let k = 0; k < steps; k++) {
  const next = await run(step, { ...constants, ...head });
  head = { 'head.weight': next['head.weight@next'], 'head.bias': next['head.bias@next'] };
}
const queries = list(query);
const { probabilities } = await run(predict, { ...head, features: await features(queries) });
for (const [i, [label, file]] of queries.entries()) {
  const row = probabilities.data.subarray(i * classes.length, (i + 1) * classes.length);
  console.log(`${file}: ${classes[row.indexOf(Math.max(...row))]} (${label})`);
}
