import { fileURLToPath } from 'node:url';

/** Folder that holds the released bundles of this package. */
export const bundlesDirectory: string = fileURLToPath(new URL('../bundles', import.meta.url));

/** The bundle that is used where none is named. */
export const DEFAULT_BUNDLE = 'omniglot-conv4';
