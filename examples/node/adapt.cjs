// The same from CommonJS: Node.js requires modules, and what they wait for is in a function.
const { readFile } = require('node:fs/promises');
const { bundlesDirectory, PHOTOS_BUNDLE } = require('@whet/models/bundles');
const { decodeImage, listClasses } = require('@whet/runtime/images');
const { loadBundle } = require('@whet/runtime/node');

async function main([examples, picture]) {
  const bundle = await loadBundle(`${bundlesDirectory}/${PHOTOS_BUNDLE}`);
  const tensor = async (path) => decodeImage(await readFile(path), bundle.manifest.preprocessing);

  const { classes } = await listClasses(examples);
  const labelled = classes.flatMap(({ name, files }) =>
    files.map(async (path) => ({ label: name, image: await tensor(path) })),
  );
  const { profile } = await bundle.adapt(await Promise.all(labelled));
  const [{ label }] = await bundle.predict(profile, [await tensor(picture)]);
  console.log(`${picture}: ${label}`);
  await bundle.release();
}

main(process.argv.slice(2));
