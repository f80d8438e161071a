import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundlesDirectory, conv4, OMNIGLOT_BUNDLE, resnet12 } from '@whet/models';
import { describe, expect, it } from 'vitest';
import { backboneOf, runConfigSchema } from './config.js';
import { newRun } from './run.js';

const configOf = (model: object) => runConfigSchema.parse({ model, rule: 'maml' });

describe('the network of a run', () => {
  it('is Conv4 by the settings of a run from before there were others, which stay as they are', () => {
    const shape = { channels: 64, blocks: 4, imageChannels: 1, imageSize: 28 };
    const before = { architecture: 'conv4', ...shape, downsample: 'pool', convolutionBias: false };
    const parsed = configOf(before);
    expect(JSON.stringify(parsed.model)).toBe(JSON.stringify(before));
    expect(backboneOf(parsed)).toMatchObject({ architecture: 'conv4', settings: { channels: 64, imageSize: 28 } });
  });

  it('is that of the shipped bundle by the settings in its manifest', async () => {
    const manifest = JSON.parse(await readFile(join(bundlesDirectory, OMNIGLOT_BUNDLE, 'manifest.json'), 'utf8'));
    const { config } = manifest.provenance;
    const parsed = runConfigSchema.parse(config);
    expect(JSON.stringify(parsed.model)).toBe(JSON.stringify(config.model));
    const settings = { channels: [64, 64, 128, 128], imageSize: 28 };
    expect(backboneOf(parsed)).toMatchObject({ architecture: 'conv4', settings, features: manifest.featureLength });
  });

  it.each([conv4(), resnet12()])('is $architecture with its own defaults', ({ architecture, settings }) => {
    const { model } = configOf({ architecture });
    expect(model).toEqual({ architecture, ...settings });
    expect(backboneOf({ model })).toMatchObject({ architecture, settings });
  });

  it.each([
    [{ architecture: 'resnet18' }, 'settings: model.architecture: expected architecture conv4, resnet12 or onnx'],
    [{ channels: 64 }, 'settings: model.architecture: expected architecture conv4, resnet12 or onnx'],
    [{ architecture: 'resnet12', blocks: 4 }, 'settings: model: Unrecognized key: "blocks"'],
    [{ architecture: 'resnet12', channels: [64, 128] }, 'settings: model.channels'],
    [
      { architecture: 'onnx', sha256: '00', features: 'pool', imageChannels: 3, imageSize: 8 },
      'the network was read from a file with features "pool", and is needed here',
    ],
    [{ architecture: 'resnet12', imageSize: 15 }, 'resnet12: an image of 15 pixels is too small for 4 blocks'],
  ])('is refused as %j', async (model, message) => {
    await expect(newRun({ model, rule: 'maml' })).rejects.toThrow(message);
  });
});
