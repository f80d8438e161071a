import { fileURLToPath } from 'node:url';

/** Folder that holds the released bundles of this package. */
export const bundlesDirectory: string = fileURLToPath(new URL('../bundles', import.meta.url));

/** Folder of the settings that networks were trained with. */
export const recipesDirectory: string = fileURLToPath(new URL('../recipes', import.meta.url));

/** Things that people photograph, in colour, at 128 x 128. */
export const PHOTOS_BUNDLE = 'photos-lite0';

/** Handwritten characters, 28 x 28. */
export const OMNIGLOT_BUNDLE = 'omniglot-conv4';

/** The bundles that are used where none is named, the first before the others. */
export const DEFAULT_BUNDLES: readonly string[] = [PHOTOS_BUNDLE, OMNIGLOT_BUNDLE];
