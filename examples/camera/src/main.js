import { openInWorker } from '@whet/runtime/web-worker';

const [video, answer, problem] = ['camera', 'answer', 'problem'].map((id) => document.getElementById(id));
const buttons = [...document.querySelectorAll('button')];

/** What comes of a part of the start; where it fails, that is said in place of the answer. */
const begun = async (what, work) => {
  try {
    return await work;
  } catch (cause) {
    answer.textContent = '';
    problem.textContent = `${what}: ${cause.message}`;
    throw cause;
  }
};

// The folder of a bundle, such as models/bundles/photos-lite0, copied to public/bundle.
const onProgress = ({ loaded, total }) => {
  answer.textContent = `Loading, ${Math.round((100 * loaded) / total)} %`;
};
const bundle = await begun('The bundle cannot be opened', openInWorker('./bundle', { onProgress }));
const camera = navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
video.srcObject = await begun('The camera cannot be used', camera);
await video.play();

const frame = async () => bundle.decode(await createImageBitmap(video));
const examples = [];
let profile;
let learning = Promise.resolve();

async function learn(example) {
  examples.push(example);
  if (new Set(examples.map(({ label }) => label)).size < 2) return;
  ({ profile } = await bundle.adapt(examples));
}

for (const button of buttons) {
  button.disabled = false;
  button.addEventListener('click', () => {
    problem.textContent = '';
    // One after the other, so that the last profile is that of all examples.
    learning = Promise.all([frame(), learning])
      .then(([image]) => learn({ label: button.dataset.label, image }))
      .catch(({ message }) => {
        problem.textContent = `Nothing learnt: ${message}`;
      });
  });
}
answer.textContent = 'Show it something, and press a button';

while (video.srcObject.active) {
  await new Promise((resolve) => setTimeout(resolve, 100));
  if (!profile) continue;
  try {
    const [{ label, probabilities }] = await bundle.predict(profile, [await frame()]);
    answer.textContent = `${label}, ${Math.round(100 * probabilities[label])} %`;
  } catch ({ message }) {
    answer.textContent = `Not seen: ${message}`;
  }
}
answer.textContent = 'The camera has stopped';
