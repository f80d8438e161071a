import { openInWorker } from '@whet/runtime/web-worker';

const [video, answer] = ['camera', 'answer'].map((id) => document.getElementById(id));
const buttons = [...document.querySelectorAll('button')];

// The folder of a bundle, such as models/bundles/photos-lite0, copied to public/bundle.
const onProgress = ({ loaded, total }) => {
  answer.textContent = `Loading, ${Math.round((100 * loaded) / total)} %`;
};
const bundle = await openInWorker('./bundle', { onProgress });
video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
await video.play();

const frame = async () => bundle.decode(await createImageBitmap(video));
const examples = [];
let profile;

for (const button of buttons) {
  button.disabled = false;
  button.addEventListener('click', async () => {
    examples.push({ label: button.dataset.label, image: await frame() });
    if (new Set(examples.map(({ label }) => label)).size < 2) return;
    ({ profile } = await bundle.adapt(examples));
  });
}
answer.textContent = 'Show it something, and press a button';

while (video.srcObject.active) {
  await new Promise((resolve) => setTimeout(resolve, 100));
  if (!profile) continue;
  const [{ label, probabilities }] = await bundle.predict(profile, [await frame()]);
  answer.textContent = `${label}, ${Math.round(100 * probabilities[label])} %`;
}
