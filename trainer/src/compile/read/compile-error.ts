/** A model that cannot be compiled as it was asked for: what it lacks, or which choice does not fit it. */
export class CompileError extends Error {
  override readonly name = 'CompileError';
}

/** A part of a model that does not take any number of images. */
export class BatchError extends CompileError {
  /** What shows it, without what to do about it. */
  readonly reason: string;

  constructor(message: string, { reason = message, ...options }: ErrorOptions & { readonly reason?: string } = {}) {
    super(message, options);
    this.reason = reason;
  }
}
