import { parseArgs } from 'node:util';
import { bundlesDirectory, PHOTOS_BUNDLE } from '@whet/models';
import { readBundle } from '@whet/runtime/node';
import { makeFarCharacters } from './far-characters.js';

// npm run data:far-characters -- --data OMNIGLOT --out build/far-characters

const { values } = parseArgs({
  options: {
    data: { type: 'string' },
    out: { type: 'string', default: 'build/far-characters' },
    classes: { type: 'string', default: '160' },
  },
});
const { data, out } = values;
if (!data) throw new Error('--data: expected the folder of Omniglot');
const { manifest } = await readBundle(`${bundlesDirectory}/${PHOTOS_BUNDLE}`);
const classes = Number(values.classes);
const counts = await makeFarCharacters({ data, out, classes, preprocessing: manifest.preprocessing });
process.stdout.write(`${out}: ${counts['train']} classes to train on, ${counts['validation']} for validation\n`);
