import { env, InferenceSession, Tensor } from 'onnxruntime-web/wasm';
import { InputError } from '../errors.js';
import type { HtmlSettings } from '../html.js';
import { resizePixels } from '../pixels.js';
import { decodeRgba } from './decode-image.js';

// The script of the page that `writeHtml` makes: bundled into one file with onnxruntime-web's, and run from a disk.

const element = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const [state, problem, reason, answers] = ['state', 'problem', 'reason', 'answers'].map((id) => element(id)) as [
  HTMLElement,
  HTMLElement,
  HTMLElement,
  HTMLElement,
];
const picture = element<HTMLImageElement>('picture');
const inputs = [...document.querySelectorAll<HTMLInputElement>('input')];
const { classes, preprocessing, texts } = JSON.parse(element('settings').textContent ?? '') as HtmlSettings;

function unpacked(id: string): Promise<ArrayBuffer> {
  const bytes = Uint8Array.from(atob(element(id).textContent ?? ''), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  element(id).remove();
  return new Response(stream).arrayBuffer();
}

/** Says what is wrong, and below that what the library said, which is English. */
function fail(said: string, cause: unknown): void {
  state.textContent = '';
  problem.textContent = said;
  problem.hidden = false;
  reason.textContent = cause instanceof Error ? cause.message : String(cause);
}

async function open(): Promise<InferenceSession> {
  env.wasm.numThreads = 1;
  env.wasm.wasmBinary = await unpacked('wasm');
  return InferenceSession.create(await unpacked('model'), { executionProviders: ['wasm'] });
}

async function probabilitiesOf(session: InferenceSession, file: Blob): Promise<Float32Array> {
  const { height, width, channels } = preprocessing;
  const pixels = resizePixels(await decodeRgba(file, { field: 'picture' }), preprocessing);
  const { probabilities } = await session.run({
    pixels: new Tensor('uint8', pixels, [1, height, width, channels]),
  });
  return probabilities?.data as Float32Array;
}

function show(probabilities: Float32Array): void {
  const found = classes.map((name, i) => ({ name, share: probabilities[i] as number }));
  found.sort((a, b) => b.share - a.share);
  const items = found.slice(0, 20).map(({ name, share }) => {
    const [item, label, number, bar] = ['li', 'span', 'span', 'meter'].map((tag) => document.createElement(tag)) as [
      HTMLElement,
      HTMLElement,
      HTMLElement,
      HTMLMeterElement,
    ];
    label.textContent = name;
    label.dir = 'auto';
    number.textContent = `${(100 * share).toFixed(share > 0.999 || share < 0.001 ? 0 : 1)} %`;
    bar.value = share;
    bar.ariaHidden = 'true';
    item.append(label, number, bar);
    return item;
  });
  answers.replaceChildren(...items);
  const best = found[0] as { name: string; share: number };
  state.textContent = `${best.name}, ${Math.round(100 * best.share)} %`;
}

let questions = 0;

/** Shows the answer, unless another picture was chosen before it came. */
async function ask(session: InferenceSession, file: Blob): Promise<void> {
  const question = ++questions;
  state.textContent = '';
  problem.hidden = true;
  reason.textContent = '';
  answers.replaceChildren();
  URL.revokeObjectURL(picture.src);
  picture.hidden = true;
  try {
    const probabilities = await probabilitiesOf(session, file);
    if (question !== questions) return;
    show(probabilities);
    picture.src = URL.createObjectURL(file);
    picture.hidden = false;
  } catch (cause) {
    if (question === questions) fail(cause instanceof InputError ? texts.unreadable : texts.failed, cause);
  }
}

open().then(
  (session) => {
    state.textContent = texts.ready;
    for (const input of inputs) {
      input.disabled = false;
      input.addEventListener('change', () => {
        const [file] = input.files ?? [];
        if (file) ask(session, file);
        input.value = '';
      });
    }
  },
  (cause) => fail(texts.cannotStart, cause),
);
