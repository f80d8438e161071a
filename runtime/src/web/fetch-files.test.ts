import { expect, it } from 'vitest';
import { BundleError } from '../errors.js';
import { fetchFrom } from './fetch-files.js';

it('a file that the network does not bring is named, with what came instead', async () => {
  // A port that nobody may listen on.
  const read = fetchFrom('http://127.0.0.1:1/bundle');
  await expect(read('manifest.json')).rejects.toThrow(BundleError);
  await expect(read('manifest.json')).rejects.toThrow(
    'http://127.0.0.1:1/bundle/manifest.json: expected the file, got fetch failed',
  );
});
