import { InputError } from './errors.js';
import type { Preprocessing } from './preprocessing.js';

/**
 * The channels of a picture that a bundle takes.
 *
 * @throws {InputError} naming `field` where no picture has as many, so that images have to come as tensors.
 */
export function pictureChannels({ channels, height, width }: Preprocessing, field: string): 1 | 3 {
  if (channels === 1 || channels === 3) return channels;
  const shape = `[${channels}, ${height}, ${width}]`;
  throw new InputError(
    field,
    `${field}: expected a tensor ${shape}, got a picture: the bundle takes ${channels} channels`,
  );
}
