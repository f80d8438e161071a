/** An optional package that is not installed, or has nothing for this machine. */
export class MissingPackageError extends Error {
  override readonly name = 'MissingPackageError';

  /**
   * Throws on what happened as a package was loaded, `const { default: sharp } = await import('sharp').catch(...)`: where it is not
   * installed, or its native part is not there, one of these, which says what needs it, as in `decoding images`, and what to run.
   */
  static of(name: string, need: string, install = `npm install ${name}`): (cause: unknown) => never {
    return (cause) => {
      const { code, message } = cause as { readonly code?: string; readonly message: string };
      const isMissing = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
      if (isMissing && message.includes(`'${name}`)) {
        const text = `${need} needs the package "${name}", which is not installed: ${install}`;
        throw new MissingPackageError(text, { cause });
      }
      // What a package with a binary for each machine looks for.
      if (isMissing && /\.node'/.test(message)) {
        const machine = `${process.platform} ${process.arch}`;
        throw new MissingPackageError(`${need} needs the package "${name}", which has no library for ${machine}`, {
          cause,
        });
      }
      throw cause;
    };
  }
}
