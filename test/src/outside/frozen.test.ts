import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { bundlesDirectory, OMNIGLOT_BUNDLE } from '@whet/models';
import { decodeImage } from '@whet/runtime/images';
import { loadBundle } from '@whet/runtime/node';
import { charactersDirectory, loadDemoImages } from '@whet/tools/demo/demo-images';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lacking } from '../needs.js';
import { java, python } from './languages.js';

const bundle = join(bundlesDirectory, OMNIGLOT_BUNDLE);
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'whet-frozen-'));
});
afterAll(() => rm(directory, { recursive: true }));

describe.each([
  {
    language: 'Java',
    needs: { 'Java that has built it': java.isThere },
    program: ['java', '-cp', java.classPath, 'whet.Frozen'],
  },
  {
    language: 'Python',
    needs: { 'onnxruntime, numpy and pillow in Python': python.isThere },
    program: ['python3', fileURLToPath(new URL('../../../examples/python/frozen.py', import.meta.url))],
  },
])('a profile that is one model', ({ language, needs, program: [program = '', ...first] }) => {
  it.skipIf(Object.values(needs).includes(false))(
    `has Node's probabilities in ${language}${lacking(needs)}`,
    async () => {
      const loaded = await loadBundle(bundle, { patterns: ['head'], threads: 1 });
      const images = await loadDemoImages(charactersDirectory);
      const tensor = async (file: string) => decodeImage(await readFile(file), loaded.manifest.preprocessing);
      const taken = [...images].slice(0, 3).map(([label, all]) => ({ label, files: all.map(({ file }) => file) }));
      const examplesOf = taken.flatMap(({ label, files }) => files.slice(0, 5).map((file) => ({ label, file })));
      const { profile } = await loaded.adapt(
        await Promise.all(examplesOf.map(async ({ label, file }) => ({ label, image: await tensor(file) }))),
        { pattern: 'head' },
      );
      const model = join(directory, `frozen-${language}.onnx`);
      await writeFile(model, await loaded.freeze(profile, { input: 'pixels' }));
      const asked = taken.map(({ files }) => files[6] as string);
      const { stdout } = await promisify(execFile)(program, [...first, model, ...asked], { env: python.env });
      const answers = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { class: string; probabilities: number[] });
      const expected = await loaded.predict(profile, await Promise.all(asked.map(tensor)));
      await loaded.release();
      expect(answers.map((answer) => answer.class)).toEqual(expected.map(({ label }) => label));
      for (const [i, { probabilities }] of expected.entries()) {
        for (const [row, name] of profile.classes.entries()) {
          expect(answers[i]?.probabilities[row]).toBeCloseTo(probabilities[name] as number, 5);
        }
      }
    },
  );
});
