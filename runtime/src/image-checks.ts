import { isEncoded } from './encode.js';
import { InputError } from './errors.js';
import { areFinite, findNotFinite } from './finite.js';
import type { Manifest } from './manifest.js';
import type { Pattern } from './pattern.js';
import type { EncodedImage, ImageInput } from './types.js';

/** The bundle that images are for. */
export interface ImageTaker {
  readonly manifest: Pick<Manifest, 'preprocessing'>;
  readonly digest: string;
  /** Whether a digest is this bundle's, or of one that predicts as this does. */
  readonly isOwn: (digest: string) => boolean;
}

/** Throws {@link InputError} naming the field where an image, or what was encoded of one, is not what a pattern takes. */
export function checkImage(taker: ImageTaker, image: ImageInput, pattern: Pattern, field: string): void {
  if (isEncoded(image)) {
    checkEncoded(taker, image, pattern, field);
    return;
  }
  const { channels, height, width } = taker.manifest.preprocessing;
  const length = channels * height * width;
  if (image.length !== length) {
    const shape = `[${channels}, ${height}, ${width}]`;
    throw new InputError(field, `expected ${length} values ${shape}, got ${image.length}`);
  }
  const bad = findNotFinite(image);
  if (bad >= 0) throw new InputError(field, `expected finite values, got ${image[bad]} at position ${bad}`);
}

function checkEncoded(
  { digest, isOwn }: ImageTaker,
  { bundle, pattern: name, features }: EncodedImage,
  pattern: Pattern,
  field: string,
): void {
  if (!isOwn(bundle) || name !== pattern.name) {
    const [expected, got] = [digest.slice(0, 12), bundle.slice(0, 12)];
    throw new InputError(
      field,
      `expected an image or one encoded for pattern "${pattern.name}" of bundle ${expected}..., got one for pattern "${name}" of bundle ${got}...`,
    );
  }
  const length = pattern.manifest.features.reduce((a, b) => a * b, 1);
  if (features.length !== length || !areFinite(features)) {
    throw new InputError(field, `expected ${length} finite features, got ${features.length}`);
  }
}
