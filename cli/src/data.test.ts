import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadData } from './data.js';

it('mean and deviation are refused where nothing would be done with them', async () => {
  const place = mkdtempSync(join(tmpdir(), 'whet-data-'));
  const image = { size: 28, channels: 1, mean: [0.5] } as const;
  await expect(
    loadData({ place, kind: 'omniglot', hasSplits: true }, { ...image, preprocessing: undefined }),
  ).rejects.toThrow('--mean and --std: Omniglot’s drawings are not normalized');
  const preprocessing = { channels: 1, height: 28, width: 28 } as never;
  await expect(loadData({ place, kind: 'folders', hasSplits: true }, { ...image, preprocessing })).rejects.toThrow(
    '--mean and --std: the settings have a preprocessing already',
  );
  rmSync(place, { recursive: true });
});
