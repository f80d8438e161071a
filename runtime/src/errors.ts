/** A bundle that cannot be loaded: a missing file, a digest, schema version or tensor name that does not fit. */
export class BundleError extends Error {
  override readonly name = 'BundleError';
}

/** What is wrong with a profile, where it is not damaged. */
export type ProfileProblem = 'other-bundle' | 'newer';

/** A profile that cannot be used: damaged bytes, or made for another bundle or pattern, or by a newer version, which `problem` tells. */
export class ProfileError extends Error {
  override readonly name = 'ProfileError';
  readonly problem?: ProfileProblem;
  constructor(message: string, { problem, ...options }: ErrorOptions & { readonly problem?: ProfileProblem } = {}) {
    super(message, options);
    if (problem) this.problem = problem;
  }
}

/** What is wrong with an image file. */
export type ImageProblem = 'empty' | 'not-image' | 'vector' | 'too-many-pixels' | 'unsupported' | 'damaged' | 'no-room';

/**
 * Input a caller can mend: examples, images or options. `field` names it, as in `examples[3].image`; `problem` tells of an image file that a
 * browser cannot decode what is wrong with it, for those who say it in other words.
 */
export class InputError extends Error {
  override readonly name = 'InputError';
  constructor(
    readonly field: string,
    message: string,
    readonly problem?: ImageProblem,
  ) {
    super(message);
  }
}
