import { mkdir, mkdtemp, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TINY_SIZE, tinyCheckpoint } from '@whet/tools/bundles/tiny-bundle';
import { ExportError, exportBundle, omniglotPreprocessing } from '@whet/trainer';
import { describe, expect, it } from 'vitest';

const exportTo = (directory: string, checkpoint = tinyCheckpoint()) =>
  exportBundle({
    checkpoint,
    directory,
    name: 'tiny',
    version: '0.0.1',
    description: 'Random weights.',
    preprocessing: omniglotPreprocessing(TINY_SIZE),
  });

describe('an export', () => {
  it('replaces a bundle, keeps its README, and leaves nothing beside it', async () => {
    const parent = await mkdtemp(join(tmpdir(), 'whet-export-'));
    const directory = join(parent, 'bundle');
    await exportTo(directory);
    await writeFile(join(directory, 'README.md'), 'By hand.');
    await writeFile(join(directory, 'left over'), '');
    await exportTo(directory);
    expect(await readFile(join(directory, 'README.md'), 'utf8')).toBe('By hand.');
    expect(await readdir(directory)).not.toContain('left over');
    expect(await readdir(parent)).toEqual(['bundle']);
    if (process.platform !== 'win32') expect((await stat(directory)).mode & 0o777).toBe(0o755);
  });

  it('never replaces a folder that is not a bundle', async () => {
    const parent = await mkdtemp(join(tmpdir(), 'whet-export-'));
    const directory = join(parent, 'photos');
    await mkdir(directory);
    await writeFile(join(directory, 'cat.jpg'), 'meow');
    await expect(exportTo(directory)).rejects.toThrow(ExportError);
    await expect(exportTo(directory)).rejects.toThrow(
      /photos: expected a new or empty folder, or a bundle to replace, got cat\.jpg/,
    );
    expect(await readFile(join(directory, 'cat.jpg'), 'utf8')).toBe('meow');
    expect(await readdir(parent)).toEqual(['photos']);
  });

  it.each([
    ['a head of a fixed number of classes', { head: 'fixed' as const }, /a fixed head serves one number of classes/],
    ['moments of the query images', { normalization: 'transductive' as const }, /"transductive" is not exported/],
  ])('refuses %s', async (_, settings, message) => {
    const { config, state } = tinyCheckpoint();
    const directory = join(await mkdtemp(join(tmpdir(), 'whet-export-')), 'bundle');
    await expect(exportTo(directory, { config: { ...config, ...settings }, state })).rejects.toThrow(message);
    await expect(stat(directory)).rejects.toThrow('ENOENT');
  });

  it('refuses images that the network does not take', async () => {
    const directory = join(await mkdtemp(join(tmpdir(), 'whet-export-')), 'bundle');
    const checkpoint = tinyCheckpoint();
    const { imageSize } = checkpoint.config.model;
    const coloured = { ...checkpoint.config, model: { ...checkpoint.config.model, imageChannels: 3 as const } };
    await expect(exportTo(directory, { ...checkpoint, config: coloured })).rejects.toThrow(
      `preprocessing: expected images of ${imageSize} x ${imageSize} x 3 (model.imageSize, model.imageChannels), got ${imageSize} x ${imageSize} x 1`,
    );
    await expect(stat(directory)).rejects.toThrow('ENOENT');
  });
});
