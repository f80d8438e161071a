/** A model that cannot be compiled as it was asked for: what it lacks, or which choice does not fit it. */
export class CompileError extends Error {
  override readonly name = 'CompileError';
}
