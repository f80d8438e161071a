import { decodeFile, loadBundle, openProfileStore, pixelsToTensor } from '@whet/runtime/web';
import mjs from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url';
import wasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';

const input = (id) => document.getElementById(id);
const say = (text) => {
  input('answer').textContent = text;
};

// The folder of a bundle, such as models/bundles/omniglot-conv4, copied to public/bundle.
const files = { wasm: { mjs: new URL(mjs, location.href), wasm: new URL(wasm, location.href) } };
const bundle = await loadBundle('./bundle', { files, patterns: ({ defaultPattern }) => [defaultPattern] });
const { preprocessing } = bundle.manifest;
const store = await openProfileStore({ name: 'two-classes' });

const tensor = async (file) => pixelsToTensor(await decodeFile(file, preprocessing), preprocessing);
const examples = async (label) =>
  Promise.all([...input(label).files].map(async (file) => ({ label, image: await tensor(file) })));

async function adapt() {
  if (input('first').files.length === 0 || input('second').files.length === 0) return;
  const { profile, milliseconds } = await bundle.adapt([...(await examples('first')), ...(await examples('second'))]);
  const now = new Date().toISOString();
  const bytes = profile.toBytes();
  await store.put({ id: 'mine', name: 'Mine', bundle: bundle.digest, bytes, created: now, changed: now, extra: null });
  say(`adapted in ${milliseconds.total.toFixed(1)} ms`);
}

async function predict() {
  const stored = await store.get('mine');
  if (!stored?.bytes) return say('choose pictures of both classes first');
  const profile = bundle.profileFromBytes(stored.bytes);
  const [{ label, probabilities }] = await bundle.predict(profile, [await tensor(input('query').files[0])]);
  say(`${label}, ${(100 * probabilities[label]).toFixed(1)} %`);
}

input('first').addEventListener('change', adapt);
input('second').addEventListener('change', adapt);
input('query').addEventListener('change', predict);
say('ready');
