import { createRequire } from 'node:module';
import { MissingPackageError } from './missing-package.js';

type SharpModule = typeof import('sharp').default;

const require = createRequire(import.meta.url);

/** Found at once: a package whose package.json could not be opened, Node.js 20 takes for one that is not there, for good. */
const sharpPlace = ((): string => {
  try {
    return require.resolve('sharp');
  } catch {
    return 'sharp';
  }
})();

/**
 * sharp, an optional peer. Throws {@link MissingPackageError} where it is not installed, or has no library for this machine. By `require`, which
 * tries again after a failure such as that no file could be opened; what `import` did not load once, it never does.
 */
export function loadSharp(): SharpModule {
  try {
    return require(sharpPlace) as SharpModule;
  } catch (error) {
    return MissingPackageError.of('sharp', 'decoding images')(error);
  }
}
