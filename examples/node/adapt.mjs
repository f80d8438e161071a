// node adapt.mjs EXAMPLES PICTURE: adapts to EXAMPLES/<label>/<image>, and says what PICTURE shows.
import { readFile } from 'node:fs/promises';
import { bundlesDirectory, PHOTOS_BUNDLE } from '@whet/models/bundles';
import { decodeImage, listClasses } from '@whet/runtime/images';
import { loadBundle } from '@whet/runtime/node';

const [examples, picture] = process.argv.slice(2);
const bundle = await loadBundle(`${bundlesDirectory}/${PHOTOS_BUNDLE}`);
const tensor = async (path) => decodeImage(await readFile(path), bundle.manifest.preprocessing);

const { classes } = await listClasses(examples);
const labelled = classes.flatMap(({ name, files }) =>
  files.map(async (path) => ({ label: name, image: await tensor(path) })),
);
const { profile, milliseconds } = await bundle.adapt(await Promise.all(labelled));
const [{ label, probabilities }] = await bundle.predict(profile, [await tensor(picture)]);
console.log(
  `adapted in ${milliseconds.total.toFixed(0)} ms; ${picture}: ${label}, ${(100 * probabilities[label]).toFixed(1)} %`,
);
await bundle.release();
