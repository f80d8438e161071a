import { basename, join } from 'node:path';
import type { Manifest } from '@whet/runtime';
import { bytes } from './format.js';

/** What a bundle is called where nobody says: as its folder, or its `.whet` file. */
export const nameOfPlace = (place: string): string => basename(place, '.whet');

/** Of a bundle that was written: where it is, and how large. */
export function writtenLine(place: string, { files }: Manifest): string {
  const size = Object.values(files).reduce((sum, file) => sum + file.bytes, 0);
  const where = place.endsWith('.whet') ? place : join(place, 'manifest.json');
  return `${where}: ${bytes(size)} in ${Object.keys(files).length} files\n`;
}
