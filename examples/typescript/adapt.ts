// npx tsc && node adapt.js EXAMPLES PICTURE: adapts to EXAMPLES/<label>/<image> by itself, then over HTTP, as a service does.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundlesDirectory, PHOTOS_BUNDLE } from '@whet/models/bundles';
import type { Bundle, Example } from '@whet/runtime';
import { WhetClient } from '@whet/runtime/client';
import { decodeImage, listClasses } from '@whet/runtime/images';
import { loadBundle } from '@whet/runtime/node';
import { createMemoryStore, startServer } from '@whet/server';

const [folder, picture] = process.argv.slice(2);
if (folder === undefined || picture === undefined) throw new Error('expected EXAMPLES PICTURE');
const bundle: Bundle = await loadBundle(join(bundlesDirectory, PHOTOS_BUNDLE));
const { classes } = await listClasses(folder);
const files = classes.flatMap(({ name, files }) => files.map((path) => ({ label: name, path })));

const examples: Example[] = [];
for (const { label, path } of files) {
  examples.push({ label, image: await decodeImage(await readFile(path), bundle.manifest.preprocessing) });
}
const { profile } = await bundle.adapt(examples);
const query = await decodeImage(await readFile(picture), bundle.manifest.preprocessing);
const [own] = await bundle.predict(profile, [query]);

const server = await startServer({
  bundles: new Map([[PHOTOS_BUNDLE, bundle]]),
  store: createMemoryStore(),
  version: '1',
});
const client = new WhetClient(server.url);
const { profile: id } = await client.adapt({
  examples: await Promise.all(files.map(async ({ label, path }) => ({ label, image: await readFile(path) }))),
});
const served = await client.predict({ profile: id }, [await readFile(picture)]);
console.log(`${picture}: ${own?.label}, served ${served.label}`);
await server.close();
await bundle.release();
